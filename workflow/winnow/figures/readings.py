"""Figure `readings`: every reading of figure 2 where 2a and 2b end, and the published point."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..judge.calibration import CURVES, PRUNED, by_reading, errors, offsets, tolerance
from ..judge.scorecard import AGREES
from ..judge.stats import least_deviation, mean_interval
from ..two_layer.settings import TwoLayerSettings
from .curves import seeds
from .style import GUIDE, new_figure

KIND = TwoLayerSettings  # of the experiments that this figure shows
END = 0.9  # the largest published fraction
WHISKERS = {"linestyle": "none", "elinewidth": 0.6, "alpha": 0.25, "zorder": 1}
LOOKS = {"weights": ("C0", "o"), "neurons": ("C1", "^")}


def readings(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Test errors at 0.9 of 2a against 2b, a point a reading; filled where the dense network meets both."""
    points = [
        place(table.attrs["settings"].at(point), rows)
        for table in tables.values()
        for point, rows in by_reading(table.attrs["settings"], table)
    ]
    data = pd.concat([pd.DataFrame(points).assign(source="winnow"), pd.DataFrame([target()])], ignore_index=True)
    figure, axes = new_figure(aspect=1)
    for pruned, (colour, marker) in LOOKS.items():
        ours = data[data.series == pruned]
        style = {"linestyle": "none", "marker": marker, "markersize": 3.5, "markeredgewidth": 0.7, "color": colour}
        for dense, fill in ((False, "none"), (True, colour)):
            there = ours[ours.dense_meets == dense]
            axes.errorbar(there.x, there.y, _half(there, "y"), _half(there, "x"), **WHISKERS | {"ecolor": colour})
            what = "dense meets both" if dense else "dense does not"
            axes.plot(there.x, there.y, markerfacecolor=fill, label=f"{pruned}; {what} ({len(there)})", **style)
    paper = data[data.source == "paper"]
    axes.errorbar(
        *(paper.x, paper.y),
        **{"xerr": _half(paper, "x"), "yerr": _half(paper, "y")},
        **{"color": "black", "marker": "D", "markersize": 5, "markerfacecolor": "none", "zorder": 4},
        label="published, ± 1.96 s.e.",
    )
    axes.axline((0, 0), slope=1, **GUIDE)
    axes.set(xlabel="test error of 2a at .9", ylabel="test error of 2b at .9", xlim=(0, 0.55), ylim=(0, 0.55))
    axes.legend(loc="lower right", title=f"{seeds(data[data.source == 'winnow'])} a reading")
    return data, figure


def _half(data: pd.DataFrame, axis: str) -> list[pd.Series]:
    """How far points' intervals go down and up, as errorbar wants it."""
    low, high = ("low", "high") if axis == "y" else ("x_low", "x_high")
    return [data[axis] - data[low], data[high] - data[axis]]


def place(settings: TwoLayerSettings, rows: pd.DataFrame) -> dict:
    """Where a reading ends: means over seeds with their intervals, x in 2a and y in 2b, and the runs of both."""
    ends = {"x": errors(rows, CURVES["2a"])[END].dropna(), "": errors(rows, CURVES["2b"])[END].dropna()}
    dense = [offsets(rows, CURVES[name])[0.0] for name in ("2a", "2b")]
    point = {"series": PRUNED[settings.pruning.target], "dense_meets": bool(np.abs(dense).max() <= AGREES)}
    for axis, values in ends.items():
        low, high = mean_interval(values.to_numpy(), floor=least_deviation(values, settings.data.n_test))
        low, high = max(low, 0), min(high, 1)
        prefix = f"{axis}_" if axis else ""
        point |= {axis or "y": values.mean(), f"{prefix}low": low, f"{prefix}high": high}
    at_end = rows[np.isclose(rows.fraction, END)].drop_duplicates("run")
    lost = int((at_end.status == "diverged").sum())
    return point | {"n": len(ends[""]), "diverged": lost, "runs": list(at_end.run)}


def target() -> dict:
    """The published point and what it may be off by."""
    point = {"series": "published", "source": "paper"}
    for name, axis in (("2a", "x"), ("2b", "y")):
        value, error = (part[0] for part in tolerance(CURVES[name], np.array([END])))
        prefix = "" if axis == "y" else "x_"
        point |= {axis: value, f"{prefix}low": value - AGREES * error, f"{prefix}high": value + AGREES * error}
    return point
