"""The step `figure`: draws one figure and writes exactly the numbers it draws beside it."""

import argparse
import importlib
from types import ModuleType

from ..analysis.selection import load
from ..files import atomic, rounded
from .style import save


def _function(text: str) -> tuple[ModuleType, str]:
    """A module of this folder and the name of a function in it, from `<module>.<function>`."""
    module, _, name = text.partition(".")
    try:
        found = importlib.import_module(f"{__package__}.{module}")
    except ImportError:
        found = None
    if not hasattr(found, name):
        raise argparse.ArgumentTypeError(
            f"{text} draws no figure; allowed: a module and a function, as synthetic.fig2a"
        )
    return found, name


def main(arguments: list[str]) -> None:
    """Draw a figure from the metrics of its experiments, which its function takes in this order."""
    parser = argparse.ArgumentParser(prog="python workflow figure", description=main.__doc__)
    parser.add_argument("function", type=_function, help="what draws it, as synthetic.fig2a")
    parser.add_argument("--settings", nargs="+", required=True, help="experiment.json of each experiment it needs")
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics.parquet of each, in the same order")
    parser.add_argument("--svg", required=True)
    parser.add_argument("--pdf", required=True)
    parser.add_argument("--png", required=True)
    parser.add_argument("--data", required=True, help="the numbers drawn")
    options = parser.parse_args(arguments)
    module, name = options.function
    data, drawing = getattr(module, name)(*load(module.KIND, options.settings, options.metrics))
    with atomic(options.data) as temporary:
        rounded(data).to_parquet(temporary, index=False)
    save(drawing, {"svg": options.svg, "pdf": options.pdf, "png": options.png})
