"""The scaling study: what the theory says about large d, measured at growing d."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..analysis import race
from ..analysis.selection import GOOD_ACCURACY, Regime, gap, learning_times, width_rows
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .curves import draw_curves, line_with_interval, over_seeds
from .regimes import some
from .style import GUIDE, Figure, curve_marker, legend_below, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that this figure shows
LABELS = {"race-d": "constant", "4-zeta-d": r"exponent of $\zeta$", "4-time-d": "exponent of time"}  # of `numbers`


def scaling(*experiments: Regime) -> tuple[pd.DataFrame, Figure]:
    """Theorem 3 over the race, its numbers over d, Theorem 9 over density, and gamma over the width."""
    races, over = ([one for one in experiments if one.name.startswith(f"scaling-{kind}-")] for kind in ("race", "over"))
    figure, grid = new_figure(3, 3, aspect=0.85 + 0.06 * len(races))
    panels = iter(grid.flat)
    parts = [_curves(next(panels), races, *panel, **style) for *panel, style in RACE_PANELS]
    parts.append(_numbers(next(panels), races))
    parts += [_curves(next(panels), over, *panel, **style) for *panel, style in OVER_PANELS]
    for axes, least in zip(grid.flat[-3:-1], (1, 0), strict=True):  # what Theorem 9 says
        axes.axhline(least, **GUIDE)
    parts.append(_widths(next(panels), experiments[-1]))
    letter_panels(grid.flat)
    return pd.concat(parts, ignore_index=True), figure


def _curves(
    axes: Axes, regimes: list[Regime], panel: str, label: str, measure: Callable[[Regime], pd.DataFrame], **style
) -> pd.DataFrame:
    """One panel with a curve for every d: `measure` gives the rows of a regime, with what is drawn as y.

    A point is drawn where at least half of the seeds have it: fewer are a choice of the fastest.
    """
    over, curves = panel.startswith("over"), []
    for one in regimes:
        rows = measure(one)
        places = {fraction: (_over_own if over else _advantage)(one, fraction) for fraction in rows.fraction.unique()}
        rows = rows.assign(x=rows.fraction.map(places), ratio=rows.y)
        part = over_seeds(rows, "ratio" if style.get("yscale") == "log" else "y", "x")
        name = f"d = {one.settings.data.dimension:,}, m = {one.settings.model.width}"
        curves.append((name, name, part[part.n >= rows.seed.nunique() / 2]))
    drawn = draw_curves(axes, curves, over="x").assign(panel=panel)
    axes.set(xlabel="density / Theorem 9's" if over else "log advantage of the signal", ylabel=label, **style)
    if over:
        ticks = curves[0][2].x
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.set_xticks([], minor=True)
        axes.invert_xaxis()
    legend_below(axes)
    return drawn


def _advantage(found: Regime, fraction: float) -> float:
    """The predicted log advantage of the signal."""
    return race.predictors(found.settings, 1 - fraction)[0]


def _over_own(found: Regime, fraction: float) -> float:
    """The density in units of Theorem 9's."""
    return np.round((1 - fraction) / formulas.theorem_density(*found.size[:3]), 2)


def _mild(measure: Callable[[Regime, pd.DataFrame], pd.Series]) -> Callable[[Regime], pd.DataFrame]:
    """A measure of the runs of Theorem 3's range where they are compared."""
    return lambda one: one.mild_ends().assign(y=lambda rows: measure(one, rows))


def _time(one: Regime) -> pd.DataFrame:
    return learning_times(one).assign(y=lambda rows: rows.steps / np.exp(rows.predicted))


def _memorized(one: Regime) -> pd.DataFrame:
    rows = one.ends()
    return rows[rows.reached].assign(y=rows.zeta_max / one.level)


def _loss(one: Regime) -> pd.DataFrame:
    return one.ends().assign(y=lambda rows: rows.test_loss - np.log(one.settings.data.classes))


def _scaled(one: Regime, rows: pd.DataFrame) -> pd.Series:
    return rows.zeta_max / one.noise_scale(1 - rows.fraction)


def _succeeds(one: Regime, rows: pd.DataFrame) -> pd.Series:
    return rows.reached & (1 - rows.test_error >= GOOD_ACCURACY)


SHARE, LOG = {"ylim": (-0.05, 1.05)}, {"yscale": "log"}
RACE_PANELS = (
    ("accuracy", "test accuracy", _mild(lambda one, rows: 1 - rows.test_error), SHARE),
    ("zeta", r"max $\zeta$ / its scale", _mild(_scaled), LOG),
    ("time", "time to learn / predicted", _time, LOG),
    ("success", "share of runs, claim 1", _mild(_succeeds), SHARE),
    ("gap", "test minus train loss (nats)", _mild(lambda one, rows: gap(rows)), {}),
)
OVER_PANELS = (
    ("over, zeta", r"max $\zeta$ / $m^{-1/q}$", _memorized, LOG),
    ("over, loss", r"test loss $-$ log K (nats)", _loss, {}),
)


def _numbers(axes: Axes, races: list[Regime]) -> pd.DataFrame:
    """The numbers that are 0 where theory and prediction are exact, over d."""
    rows = pd.concat(
        race.numbers(one).assign(d=one.settings.data.dimension, width=one.settings.model.width, status="")
        for one in races
    )
    parts = []
    for line, (width, found) in zip(("-", "--", ":"), rows.groupby("width"), strict=False):
        for number, (name, label) in enumerate(LABELS.items()):
            series = f"{label}, m = {width}"
            part = over_seeds(found[found.number == name], "value", "d").assign(series=series, panel="numbers")
            line_with_interval(axes, part, series, f"C{number}", curve_marker(number), line)
            parts.append(part)
    axes.axhline(0, **GUIDE)
    axes.set(xscale="log", xlabel="d (thousands)", ylabel="distance from the theory")
    shown = sorted(rows.d.unique())
    axes.set_xticks(shown, [f"{d / 1000:g}" for d in shown])
    axes.set_xticks([], minor=True)
    legend_below(axes)
    return pd.concat(parts)


def _widths(axes: Axes, found: Regime) -> pd.DataFrame:
    """Gamma of the class that learned least, in units of m^(-1/q), over the width."""
    rows = some(width_rows(found), found.name)
    scale = formulas.feature_scale(rows.width, found.settings.model.power)
    by_fraction = rows.assign(ratio=rows.gamma_least / scale).groupby("fraction")
    curves = {f"{fraction:g} pruned": over_seeds(part, "ratio", "width") for fraction, part in by_fraction}
    drawn = draw_curves(axes, ((name, name, data) for name, data in curves.items()), over="width")
    axes.set(
        xscale="log", yscale="log", xlabel="neurons per class, m", ylabel=r"least class' max $\gamma$ / $m^{-1/q}$"
    )
    axes.set_xticks(rows.width.unique(), [f"{width:g}" for width in rows.width.unique()])
    axes.set_xticks([], minor=True)
    axes.axhline(1, **GUIDE)
    legend_below(axes)
    return drawn.assign(panel="widths")
