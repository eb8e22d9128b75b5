"""The step `figure`: draws one figure and writes exactly the numbers it draws beside it."""

import argparse
import importlib

from ..config.base import read
from ..files import atomic, rounded
from ..judge.selection import read_metrics, with_examples
from . import FIGURES
from .style import save


def main(arguments: list[str]) -> None:
    """Draw a figure from the metrics of its experiments."""
    parser = argparse.ArgumentParser(prog="python workflow figure", description=main.__doc__)
    parser.add_argument("name", choices=FIGURES)
    parser.add_argument("--settings", nargs="+", required=True, help="experiment.json of each experiment it needs")
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics.parquet of each, in the same order")
    parser.add_argument("--svg", required=True)
    parser.add_argument("--pdf", required=True)
    parser.add_argument("--png", required=True)
    parser.add_argument("--data", required=True, help="the numbers drawn")
    options = parser.parse_args(arguments)
    module = importlib.import_module(f"{__package__}.{FIGURES[options.name].module}")
    tables = {}
    for settings, metrics in zip(options.settings, options.metrics, strict=True):
        run = read(settings, module.KIND)
        tables[run.experiment] = with_examples(read_metrics(metrics), run.settings)
        tables[run.experiment].attrs["settings"] = run.settings
    data, drawing = getattr(module, options.name.replace("-", "_"))(tables)
    with atomic(options.data) as temporary:
        rounded(data).to_parquet(temporary, index=False)
    save(drawing, {"svg": options.svg, "pdf": options.pdf, "png": options.png})
