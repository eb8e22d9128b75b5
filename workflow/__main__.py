"""`python workflow <step> …`: runs one step from a plain checkout, nothing installed."""

import importlib
import sys

from winnow.errors import WinnowError

# The module each step runs: its main(arguments).
STEPS = {
    "core": "core.build",
    "settings": "settings",
    "data": "data",
    "train": "training",
    "images": "images",
    "train-images": "minibatch",
    "collect": "collect",
    "figure": "figures.draw",
    "claims": "claims",
    "schema": "config",
    "bench": "core.bench",
}


def main() -> int:
    """Hand the arguments to the step's module, which is imported only now."""
    if len(sys.argv) < 2 or sys.argv[1] not in STEPS:
        print(f"usage: python workflow <step> …; steps: {', '.join(STEPS)}", file=sys.stderr)
        return 2
    step, arguments = sys.argv[1], sys.argv[2:]
    module = importlib.import_module(f"winnow.{STEPS[step]}")
    sys.argv[0] = f"python workflow {step}"
    try:
        module.main(arguments)
    except WinnowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
