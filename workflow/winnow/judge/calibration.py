"""The step `calibrate`: how near the readings of figure 2 come to what was published.

A reading is one choice of the settings that the paper leaves open, so that 2a (sigma_n = 0.5), 2b and 2c (sigma_n = 1)
are always under one reading. Readings were searched in stages, each a configuration of its own; config/README.md has
the rules.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..config.base import canonical, read
from ..figures import FACTORS, READ_AT
from ..files import atomic, rounded, write_json
from ..paper.published import published
from ..two_layer.settings import TwoLayerSettings
from .scorecard import AGREES, standard_error
from .selection import read_metrics

PRUNED = {"all": "weights", "neurons": "neurons"}
CHOOSING = READ_AT["fraction"]  # the fractions of 2a and 2b that readings are chosen by


@dataclass(frozen=True)
class Curve:
    """A published curve of test errors: by pruned fraction, or by gradient step of one fraction."""

    figure: str
    series: str
    sigma_n: float
    fraction: float | None = None


CURVES = {
    "2a": Curve("2a", "random", 0.5),
    "2b": Curve("2b", "random", 1.0),
    "2c, full": Curve("2c", "full", 1.0, 0.0),
    "2c, half": Curve("2c", "sparsity 0.5", 1.0, 0.5),
}


def errors(rows: pd.DataFrame, curve: Curve) -> pd.DataFrame:
    """The test errors of one reading where a curve was published: [seeds, x], x the fraction or the gradient step.

    A run that diverged counts as guessing, from where it ends.
    """
    rows = rows[np.isclose(rows.sigma_n, curve.sigma_n)]
    if curve.fraction is None:
        ends = rows.groupby(["fraction", "seed"]).tail(1)
        ends = ends.assign(test_error=ends.test_error.where(ends.status != "diverged", 0.5))
        return ends.pivot(index="seed", columns="fraction", values="test_error")
    course = rows[np.isclose(rows.fraction, curve.fraction)]
    return course.pivot(index="seed", columns="step", values="test_error").fillna(0.5)


def tolerance(curve: Curve, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What was published at x, between its points too, and the standard error of that mean."""
    paper = published(curve.figure, "test_error", curve.series)
    value = np.interp(x, paper.x, paper.y)
    bar = np.interp(x, paper.x, (paper.bar_high - paper.bar_low) / 2)
    return value, standard_error(value, bar, np.full(len(value), paper.n.iloc[0]), "test_error")


def offsets(rows: pd.DataFrame, curve: Curve) -> pd.Series:
    """(mean over seeds - published) / tolerance at every point of a curve that was run, by fraction or step."""
    ours = errors(rows, curve)
    value, error = tolerance(curve, ours.columns.to_numpy())
    return (ours.mean() - value) / error


def distance(*parts: pd.Series) -> float | None:
    """Root mean square of offsets; None where there are none."""
    together = np.concatenate(parts)
    return rounded(float(np.sqrt(np.mean(together**2)))) if len(together) else None


def distances(rows: pd.DataFrame) -> dict[str, float | None]:
    """How far one reading is off: at the fractions that choose and at the others of 2a and 2b, and from each curve.

    From 2c only where runs were evaluated between their ends.
    """
    held = {name: offsets(rows, curve) for name, curve in CURVES.items() if curve.fraction is None}
    chosen = {name: np.isclose(off.index.to_numpy()[:, None], CHOOSING).any(axis=1) for name, off in held.items()}
    found = {
        "choosing": distance(*(off[chosen[name]] for name, off in held.items())),
        "others": distance(*(off[~chosen[name]] for name, off in held.items())),
    }
    if rows.step.nunique() > 2:
        held |= {name: offsets(rows, curve) for name, curve in CURVES.items() if curve.fraction is not None}
    return found | {name: distance(held[name]) if name in held else None for name in CURVES}


def readings(tables: list[tuple[TwoLayerSettings, pd.DataFrame]]) -> list[dict]:
    """Every reading of some experiments, each with its settings, its seeds and its distances, nearest first."""
    found = []
    for settings, metrics in tables:
        for point, rows in by_reading(settings, metrics):
            there = settings.at(point)
            reading = {key: canonical("null" if (value := there.value(key)) is None else value) for key in FACTORS}
            entry = {"reading": reading, "settings": sections(there)}
            found.append(entry | {"seeds": int(rows.seed.nunique()), "distances": distances(rows)})
    return sorted(found, key=lambda entry: entry["distances"]["choosing"])


def by_reading(settings: TwoLayerSettings, metrics: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """The rows of every reading of an experiment, with the swept keys that make it one."""
    swept = [key for key in FACTORS if key in metrics.columns]
    if not swept:
        return [({}, metrics)]
    groups = metrics.groupby(swept, sort=False)
    return [(dict(zip(swept, map(canonical, values), strict=True)), rows) for values, rows in groups]


def sections(settings: TwoLayerSettings) -> dict[str, dict]:
    """The settings as a configuration may say them: the factors, and what is no default."""
    tree = settings.model_dump(exclude_defaults=True)
    for key in FACTORS:
        tree.setdefault(settings.sweepable()[key], {})[key] = settings.value(key)
    return {name: tree[name] for name in settings.sections() if name in tree}


def meets(entry: dict, curve: str) -> bool:
    """Whether a reading meets a curve."""
    return entry["distances"][curve] is not None and entry["distances"][curve] <= AGREES


def markdown(found: list[dict]) -> str:
    """The ranking as a page."""
    seeds = sorted({entry["seeds"] for entry in found})
    held = [name for name in CURVES if any(entry["distances"][name] is not None for entry in found)]
    lines = [
        f"# Calibration: {len(found)} readings of figure 2's unstated settings",
        "",
        "Distance: root mean square over published points of (mean over seeds - published) / tolerance, the tolerance"
        f" being the standard error of the published mean. A reading meets a curve at {AGREES} or less. Ranked by"
        f" `choosing`: 2a and 2b together at the fractions {', '.join(f'{f:g}' for f in CHOOSING)}; `others`: at all"
        f" other fractions. Seeds: {', '.join(map(str, seeds))}.",
        "",
        f"| pruned | readings | {' | '.join(f'meet {name}' for name in held)} | meet all |",
        "|---" * (len(held) + 3) + "|",
    ]
    for target, pruned in PRUNED.items():
        ours = [entry for entry in found if entry["reading"]["target"] == target]
        counts = [sum(meets(entry, name) for entry in ours) for name in held]
        whole = sum(all(meets(entry, name) for name in held) for entry in ours)
        lines.append(f"| {pruned} | {len(ours)} | {' | '.join(map(str, counts))} | {whole} |")
    columns = ("choosing", "others", *CURVES)
    lines += ["", f"| rank | pruned | reading | {' | '.join(columns)} |", "|---" * (len(columns) + 3) + "|"]
    for rank, entry in enumerate(found, start=1):
        reading = ", ".join(f"{k} {v}" for k, v in entry["reading"].items() if k != "target")
        numbers = (entry["distances"][name] for name in columns)
        cells = " | ".join("" if value is None else f"{value:.1f}" for value in numbers)
        lines.append(f"| {rank} | {PRUNED[entry['reading']['target']]} | {reading} | {cells} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str]) -> None:
    """Rank the readings of figure 2 by their distance to what was published."""
    parser = argparse.ArgumentParser(prog="python workflow calibrate", description=main.__doc__)
    parser.add_argument("--settings", nargs="+", required=True, help="experiment.json of each calibration experiment")
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics.parquet of each, in the same order")
    parser.add_argument("--json", required=True)
    parser.add_argument("--markdown", required=True)
    options = parser.parse_args(arguments)
    files = zip(options.settings, options.metrics, strict=True)
    found = readings([(read(s, TwoLayerSettings).settings, read_metrics(metrics)) for s, metrics in files])
    write_json(options.json, {"readings": found})
    with atomic(options.markdown) as temporary:
        Path(temporary).write_text(markdown(found), encoding="utf-8")
