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
    axes: Axes, regimes: list[Regime], panel: str, measure: Callable[[Regime], pd.DataFrame], label: str, **style
) -> pd.DataFrame:
    """One panel with a curve for every d: `measure` gives the rows of a regime, with x and y.

    A point is drawn where at least half of the seeds have it: fewer are a choice of the fastest.
    """
    parts = []
    for number, one in enumerate(regimes):
        rows = measure(one).assign(ratio=lambda found: found.y)
        part = over_seeds(rows, "ratio" if style.get("yscale") == "log" else "y", "x")
        part = part[part.n >= rows.seed.nunique() / 2].assign(series=_named(one), panel=panel)
        line_with_interval(axes, part, _named(one), f"C{number}", curve_marker(number))
        parts.append(part)
    axes.set(ylabel=label, **style)
    if panel.startswith("over"):
        axes.set(xlabel="density / Theorem 9's", xscale="log")
        axes.set_xticks(parts[0].x, [f"{x:g}" for x in parts[0].x])
        axes.set_xticks([], minor=True)
        axes.invert_xaxis()
    else:
        axes.set(xlabel="log advantage of the signal")
    legend_below(axes)
    return pd.concat(parts)


def _named(found: Regime) -> str:
    return f"d = {found.settings.data.dimension:,}, m = {found.settings.model.width}"


def _over_race(found: Regime, rows: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """Rows with the predicted log advantage as x."""
    advantages = {f: race.predictors(found.settings, 1 - f)[0] for f in rows.fraction.unique()}
    return rows.assign(x=rows.fraction.map(advantages), y=y)


def _over_density(found: Regime, rows: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """Rows with the density as x, in units of Theorem 9's."""
    data, model = found.settings.data, found.settings.model
    own = formulas.theorem_density(data.classes, model.width, data.dimension)
    return rows.assign(x=((1 - rows.fraction) / own).round(2), y=y)


def _accuracy(found: Regime) -> pd.DataFrame:
    rows = found.mild_ends()
    return _over_race(found, rows, 1 - rows.test_error)


def _zeta(found: Regime) -> pd.DataFrame:
    data, model, rows = found.settings.data, found.settings.model, found.mild_ends()
    scale = formulas.noise_scale(model.init_std, data.sigma_n, 1 - rows.fraction, data.dimension)
    return _over_race(found, rows, rows.zeta_max / scale)


def _time(found: Regime) -> pd.DataFrame:
    rows = learning_times(found)
    return _over_race(found, rows, rows.steps / np.exp(rows.predicted))


def _success(found: Regime) -> pd.DataFrame:
    rows = found.mild_ends()
    return _over_race(found, rows, rows.reached & (1 - rows.test_error >= GOOD_ACCURACY))


def _gap(found: Regime) -> pd.DataFrame:
    rows = found.mild_ends()
    return _over_race(found, rows, gap(rows))


def _memorized(found: Regime) -> pd.DataFrame:
    rows = found.ends()
    rows = rows[rows.reached]
    level = formulas.feature_scale(found.settings.model.width, found.settings.model.power)
    return _over_density(found, rows, rows.zeta_max / level)


def _loss(found: Regime) -> pd.DataFrame:
    rows = found.ends()
    return _over_density(found, rows, rows.test_loss - np.log(found.settings.data.classes))


SHARE = (-0.05, 1.05)
RACE_PANELS = (
    ("accuracy", _accuracy, "test accuracy", {"ylim": SHARE}),
    ("zeta", _zeta, r"max $\zeta$ / its scale", {"yscale": "log"}),
    ("time", _time, "time to learn / predicted", {"yscale": "log"}),
    ("success", _success, "share of runs, claim 1", {"ylim": SHARE}),
    ("gap", _gap, "test minus train loss (nats)", {}),
)
OVER_PANELS = (
    ("over, zeta", _memorized, r"max $\zeta$ / $m^{-1/q}$", {"yscale": "log"}),
    ("over, loss", _loss, r"test loss $-$ log K (nats)", {}),
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
