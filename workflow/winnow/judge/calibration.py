"""The step `calibrate`: which reading of figure 2's unstated settings comes nearest to what was published.

A reading is one choice of every swept setting but the noise level, so that 2a (sigma_n = 0.5), 2b and the full network
of 2c (sigma_n = 1) are always under one reading. Readings are ranked on one half of the seeds and reported on the
other half, which the choice has not seen.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ..config.base import canonical, read
from ..files import atomic, used, write_json
from ..paper.published import published
from ..two_layer.settings import TwoLayerSettings
from .scorecard import standard_error

TARGETS = {"2a": ("test_error", "random", 0.5), "2b": ("test_error", "random", 1.0), "2c": ("test_error", "full", 1.0)}
AXES = ("output_layer", "output_init", "output_scale", "init_std", "reduction")
FIXED = {"noise_orthogonal": "data", "architecture": "model"}  # settings that differ between the experiments
SHOWN = 3


def distances(rows: pd.DataFrame) -> dict[str, float]:
    """How far the evaluations of one reading are from each target: root of the mean squared z over its points.

    z is the difference over the standard errors of both means; 1 is as near as equal truths come.
    """
    return {name: float(np.sqrt(np.mean(z_values(rows, name) ** 2))) for name in TARGETS}


def z_values(rows: pd.DataFrame, target: str) -> pd.Series:
    """z of every point of a target, by fraction (2a, 2b) or by gradient step (2c)."""
    metric, series, sigma_n = TARGETS[target]
    rows = rows[np.isclose(rows.sigma_n, sigma_n)]
    x = "step" if target == "2c" else "fraction"
    rows = rows[rows.fraction == 0] if x == "step" else rows.groupby(["fraction", "seed"]).tail(1)
    # A run that diverged ends early: it counts as guessing at every later step.
    ours = rows.pivot(index="seed", columns=x, values=metric).fillna(0.5)
    paper = published(target, metric, series)
    at = np.interp(ours.columns, paper.x, paper.y)
    bar = np.interp(ours.columns, paper.x, (paper.high - paper.low) / 2)
    deviation = ours.std().to_numpy()
    error = standard_error(at, np.fmax(bar, deviation), np.full(len(at), paper.n.iloc[0]), metric)
    return (ours.mean() - at) / np.hypot(error, deviation / np.sqrt(len(ours)))


def readings(tables: list[tuple[dict, pd.DataFrame]]) -> list[dict]:
    """Every reading with its distances on the first and on the second half of the seeds, nearest first.

    tables: for each experiment its fixed settings that differ between experiments, and its metrics.
    """
    found = []
    for fixed, metrics in tables:
        axes = [name for name in AXES if name in metrics.columns]
        for values, rows in metrics.groupby(axes, sort=False):
            setting = fixed | {k: canonical(v) for k, v in zip(axes, values, strict=True)}
            first = rows.seed < np.median(metrics.seed.unique())
            found.append({"reading": setting, "chosen_on": distances(rows[first]), "reported": distances(rows[~first])})
    return sorted(found, key=lambda entry: total(entry["chosen_on"]))


def total(distance: dict[str, float]) -> float:
    """One number: the root mean square over the targets, which count alike."""
    return float(np.sqrt(np.mean(np.square(list(distance.values())))))


def markdown(found: list[dict]) -> str:
    """The ranking as a page."""
    lines = [
        f"# Calibration: {len(found)} readings of figure 2's unstated settings",
        "",
        "Distance: root mean square of z over the points of a target; about 1 is agreement, 2 is clearly off.",
        "Ranked on one half of the seeds; the distances shown are those of the other half.",
        "2a, 2b and 2c are always under one reading.",
        "",
        "| rank | reading | all | 2a | 2b | 2c, full network |",
        "|---|---|---|---|---|---|",
    ]
    for rank, entry in enumerate(found, start=1):
        setting = ", ".join(f"{k} {v}" for k, v in entry["reading"].items())
        far = entry["reported"]
        numbers = " | ".join(f"{value:.1f}" for value in (total(far), *far.values()))
        lines.append(f"| {rank} | {setting} | {numbers} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str]) -> None:
    """Rank the readings of figure 2 by their distance to what was published."""
    parser = argparse.ArgumentParser(prog="python workflow calibrate", description=main.__doc__)
    parser.add_argument("--settings", nargs="+", required=True, help="experiment.json of each calibration experiment")
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics.parquet of each, in the same order")
    parser.add_argument("--json", required=True)
    parser.add_argument("--markdown", required=True)
    options = parser.parse_args(arguments)
    tables = []
    for settings, metrics in zip(options.settings, options.metrics, strict=True):
        tree = read(settings, TwoLayerSettings).settings.model_dump()
        fixed = {key: str(tree[section][key]).lower() for key, section in FIXED.items()}
        fixed |= {key: str(tree["model"][key]) for key in AXES if key in tree["model"]}
        tables.append((fixed, pd.read_parquet(used(metrics))))
    found = readings(tables)
    write_json(options.json, {"readings": found, "nearest": found[:SHOWN]})
    with atomic(options.markdown) as temporary:
        Path(temporary).write_text(markdown(found))
