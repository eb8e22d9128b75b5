"""`python workflow <step> …`: runs one step from a plain checkout, nothing installed."""

import importlib
import os
import re
import sys

from winnow.audit.recorder import Recorder
from winnow.errors import WinnowError
from winnow.steps import STEPS

YOURS = ("audit", "keys", "columns", "schema")
USAGE = f"""usage: python workflow <step> …
for you: {", ".join(YOURS)} (each has --help)
what the rules run: {", ".join(step for step in STEPS if step not in YOURS)}"""


def main() -> int:
    """Hand the arguments to the step's module, which is imported only now."""
    if len(sys.argv) < 2 or sys.argv[1] not in STEPS:
        asked = sys.argv[1:2] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    step, arguments = sys.argv[1], sys.argv[2:]
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no … is no reason to fail
    recorder = Recorder(step, arguments)
    try:
        module = importlib.import_module(f"winnow.{STEPS[step]}")
        sys.argv[0] = f"python workflow {step}"
        code = module.main(arguments)
        recorder.finish()
    except (WinnowError, MemoryError) as error:
        print(f"error: {error or 'out of memory'}", file=sys.stderr)
        return 1
    except RuntimeError as error:  # of torch and of the core, which have no class for it
        if not re.search("allocate memory|no memory for|out of memory", str(error)):
            raise
        print(f"error: out of memory ({str(error).splitlines()[0]})", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] == "winnow":
            raise
        print(f"error: {sys.executable} has no {error.name}; {which_python()}", file=sys.stderr)
        return 1
    return code or 0


def which_python() -> str:
    """Which Python has the packages."""
    python = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".venv", "bin", "python")
    return f"use {os.path.relpath(python)}" + ("" if os.path.exists(python) else ", which `make env` makes")


if __name__ == "__main__":
    sys.exit(main())
