"""What the jobs of every experiment share: the command line of their steps, and the table that a run is written as."""

import argparse

from .config.base import RunSettings, Settings
from .errors import WinnowError

METRICS = ("train_loss", "train_error", "test_loss", "test_error")
"""What every run measures at an evaluation: losses in nats, errors in 0..1."""


def arguments(step: str, purpose: str | None, out: str) -> argparse.ArgumentParser:
    """The command line of a step that writes one file a seed, of the kind `out`."""
    parser = argparse.ArgumentParser(prog=f"python workflow {step}", description=purpose)
    parser.add_argument("--settings", required=True, help="experiment.json")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="swept settings")
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--out", nargs="+", required=True, help=f"one {out} per seed")
    return parser


def training_arguments(step: str, purpose: str | None) -> argparse.ArgumentParser:
    """The command line of a step that trains runs; a step adds which fractions of its weights are pruned."""
    parser = arguments(step, purpose, "parquet")
    parser.add_argument("--core", required=True, help="the compiled core")
    parser.add_argument("--data", nargs="+", required=True, help="one npz per seed")
    return parser


def point(options: argparse.Namespace) -> dict[str, str]:
    """The swept keys and their values at this grid point. Raises WinnowError for what is no KEY=VALUE."""
    for item in options.set:
        if "=" not in item:
            raise WinnowError(f"--set: {item} is no KEY=VALUE, as in sigma_n=0.5")
    return dict(item.split("=", 1) for item in options.set)


def run_table(
    run_settings: RunSettings[Settings], point: dict[str, str], fraction: float, seed: int, result: dict
) -> dict[str, list]:
    """The columns of a run's file: every column that a reader needs, so that any folder of runs reads as one table.

    `result` holds what was measured, a list or tuple with a value for every evaluation, and what the whole run has,
    as single values.
    """
    settings = run_settings.settings.at(point)
    measured = {key: list(values) for key, values in result.items() if isinstance(values, list | tuple)}
    constants = {
        "experiment": run_settings.experiment,
        "method": settings.pruning.method,
        "fraction": fraction,
        "seed": seed,
    } | {key: value for key, value in result.items() if key not in measured}
    constants |= {key: float(value) if settings.axis_is_number(key) else value for key, value in point.items()}
    return {key: [value] * len(measured["step"]) for key, value in constants.items()} | measured
