"""Curves over seeds: every point a mean with its interval and the runs that it is made of, and how it is drawn."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..analysis.stats import least_deviation, mean_interval, numbers, share_interval, standard_error
from ..files import rounded
from .style import curve_marker

PRUNED = "pruned fraction"
ROUND = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)  # the fractions that a density axis can name
POINT = {"x": float, "y": float, "low": float, "high": float, "sd": float, "se": float}
POINT |= {"n": int, "diverged": int, "runs": object}


SHARES = {
    "train_error": ("train_examples", (0, 1)),
    "test_error": ("test_examples", (0, 1)),
    "accuracy": ("test_examples", (0, 1)),
    "event_missed": ("test_examples", (0, 1)),
    "train_accuracy": ("train_examples", (0, 100)),
    "test_accuracy": ("test_examples", (0, 100)),
    "train_gain": ("train_examples", (-100, 100)),
    "test_gain": ("test_examples", (-100, 100)),
    "margin": ("test_examples", (-100, 100)),
    "connected_share": ("", (0, 1)),  # of a network's weights
}
"""Columns that are shares, most of them of a seed's examples: the column that says of how many, and their limits."""

POSITIVE = {"train_loss", "test_loss", "loss_on_event", "loss_off_event", "step", "steps", "ratio", "memorized"}
POSITIVE |= {"gamma_max", "gamma_least", "zeta_max", "omega_max", "noise_start_low", "noise_start_high"}
POSITIVE |= {"variance_initial", "variance_noise", "variance_noise_max"}
"""Columns of numbers above 0, as a logarithmic axis shows them: an interval that reached 0 would leave it."""


def over_seeds(rows: pd.DataFrame, y: str, x: str = "fraction", level: float = 0.95) -> pd.DataFrame:
    """Mean of a column over seeds at every x: columns x, y, low, high (its interval), sd (over seeds, NaN of one), se
    (standard error of y), n (seeds), diverged (runs), runs (the files of the n).

    Numbers are rounded, so that what is drawn is what is written. Interval and standard error are those of
    `analysis.stats`: NaN where seeds say nothing of their spread, at least the binomial one of SHARES; an interval of
    these ends where they do. That of a mean of POSITIVE is as wide up as down in logarithms.

    Rows of a run that diverged are counted and in no mean, and rows without a value (NaN) are left out. Column `run` of
    the rows is the file of a value's run, or a list of files where a value is made of several. A column of bool is a
    share of runs, whose interval is binomial. Raises ValueError where a seed has two values.
    """
    points = []
    for at, part in rows.sort_values("seed").groupby(x):
        if part.seed.duplicated().any():
            raise ValueError(f"{y} at {x} {at}: a seed has more than one value")
        lost = int((part.status == "diverged").sum())
        kept = part[part.status != "diverged"].dropna(subset=[y])
        if len(kept):
            values = numbers(kept[y])
            floor, ends = _share(kept, y)
            if kept[y].dtype == bool:
                interval = share_interval(values.sum(), len(values), level)
            else:
                interval = np.clip(mean_interval(values, level, floor), *ends)
            if y in POSITIVE and values.mean() > 0:  # the error of a log is the relative error, to first order
                interval = values.mean() * np.exp(np.subtract(interval, values.mean()) / values.mean())
            sd = values.std(ddof=1) if len(values) > 1 else np.nan
            found = (values.mean(), *interval, sd, standard_error(values, floor))
            points.append((at, *found, len(values), lost, list(kept.run.explode().unique())))
        elif lost:
            points.append((at, *[np.nan] * 5, 0, lost, []))
    return rounded(pd.DataFrame(points, columns=list(POINT)).astype(POINT))


def _share(rows: pd.DataFrame, y: str) -> tuple[float, tuple[float, float]]:
    """The least standard deviation of a seed's value in a column (0: unknown), and what the column lies between."""
    examples, ends = SHARES.get(y, ("", (-np.inf, np.inf)))
    if examples not in rows:
        return 0.0, ends
    return ends[1] * least_deviation(rows[y] / ends[1], rows[examples].iloc[0]), ends


def at_shared_steps(rows: pd.DataFrame) -> pd.DataFrame:
    """The evaluations at the steps at which every run has one; a run that has ended keeps its last values.

    A step that only some runs were evaluated at (the first one below a milestone of the train loss) is left out: a
    mean would jump there to the mean of these.
    """
    ends = rows.groupby("run").tail(1)
    parts = []
    for step, part in rows.groupby("step"):
        ended = ends[ends.step < step]
        if len(part) + len(ended) == len(ends):
            parts.append(pd.concat([part, ended.assign(step=step)]))
    return pd.concat(parts, ignore_index=True)


def seeds(data: pd.DataFrame) -> str:
    """How many seeds the points of a curve are means of: `n = 40`, or `n = 4 to 40` where that differs; and at most how
    many runs of a point diverged, if any did."""
    if data.empty:
        return "no runs"
    low, high, lost = int(data.n.min()), int(data.n.max()), int(data.diverged.max())
    return (f"n = {high}" if low == high else f"n = {low} to {high}") + (f", \u2264 {lost} diverged" if lost else "")


def line_with_interval(
    axes: Axes, data: pd.DataFrame, label: str, colour: str, marker: str | None = "o", linestyle: str = "-"
) -> None:
    """Draw a curve and its interval; its label says n, and points of fewer seeds than the others' are hollow."""
    style = {"color": colour, "marker": marker, "markersize": 3.5}
    axes.plot(data["x"], data["y"], linewidth=1.3, linestyle=linestyle, label=f"{label} ({seeds(data)})", **style)
    axes.fill_between(data["x"], data["low"], data["high"], color=colour, alpha=0.22, linewidth=0)
    if len(data) == 1:
        axes.vlines(data["x"], data["low"], data["high"], color=colour, linewidth=1.3)
    fewer = data[data.n < data.n.max()]
    axes.plot(fewer["x"], fewer["y"], linestyle="none", markerfacecolor="white", **style)


def draw_curves(axes: Axes, curves: Iterable[tuple[str, str, pd.DataFrame]], over: str = "density") -> pd.DataFrame:
    """Draw curves, each given as its series, label and numbers, in a colour and with a marker of its own.

    Over the density where they are numbers by fraction, else over x as it is. Returns all numbers with their series.
    """
    parts = []
    for number, (series, label, data) in enumerate(curves):
        drawn = over_density(data) if over == "density" else data
        line_with_interval(axes, drawn, label, f"C{number}", curve_marker(number))
        parts.append(data.assign(series=series))
    return pd.concat(parts)


def over_density(data: pd.DataFrame) -> pd.DataFrame:
    """A curve over the pruned fraction, as it is drawn on a `density_axis`."""
    return data.assign(x=1 - data.x)


def density_axis(axes: Axes, fractions: np.ndarray) -> None:
    """A logarithmic axis of density, dense on the left, labelled with the pruned fraction."""
    smallest = 1 - max(fractions)
    room = -np.log(smallest) / 6  # labels that are nearer to each other would touch
    shown = []
    for fraction in ROUND:
        if 1 - fraction >= 0.99 * smallest and (not shown or np.log((1 - shown[-1]) / (1 - fraction)) > room):
            shown.append(fraction)
    axes.set_xscale("log")
    axes.set_xlim(1.15, smallest / 1.15)
    axes.set_xticks([1 - f for f in shown], [f"{f:g}" for f in shown], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel(PRUNED)
