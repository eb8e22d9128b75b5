"""The theory's own experiment, what comes out: losses and errors by regime and over training, and the bound."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..analysis import race
from ..analysis.selection import EPS, Regime, three_fractions, without_signal
from ..errors import WinnowError
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .curves import at_shared_steps, density_axis, draw_curves, line_with_interval, over_density, over_seeds
from .style import GUIDE, SMALL, curve_marker, legend_below, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that these figures show
METRICS = {"train_loss": "train loss (nats)", "test_loss": "test loss (nats)", "test_error": "test error"}
TARGET = {"color": "0.35", "linewidth": 0.9, "linestyle": "--"}
RACE_LOST = {"facecolor": "none", "edgecolor": "0.6", "hatch": "////"}  # to be told where both are
TOO_SPARSE = {"color": "C3", "alpha": 0.13}


def named(found: Regime) -> str:
    """A regime as curves and panels are labelled."""
    return rf"{found.name.split(',')[0]}, $\sigma_0$ = {found.settings.model.init_std:g}"


# --- regimes


def regimes(mild: Regime, boundary: Regime, over: Regime) -> tuple[pd.DataFrame, Figure]:
    """Train loss, test loss and test error at eps against pruned fraction, one column of panels a regime."""
    columns = {one.name: one.at_each(one.swept) for one in (mild, boundary, over)}
    figure, grid = new_figure(len(columns), len(METRICS), aspect=0.75, sharex="col", sharey="row")
    parts = []
    for panels, (name, found) in zip(grid.T, columns.items(), strict=True):
        for axes, metric in zip(panels, METRICS, strict=True):
            curves = [
                (series, label, over_seeds(rows, metric)) for series, label, rows in _series(found, name == over.name)
            ]
            parts.append(draw_curves(axes, curves).assign(metric=metric))
            _mark_chance(axes, metric, found[0])
            density_axis(axes, found[0].table.fraction.unique())
            _shade(axes, found[0])
        panels[0].axhline(EPS, **TARGET)
        panels[0].set_title(f"{name}, K = {found[0].settings.data.classes}", loc="left")
        legend_below(panels[-1])
    _finish(figure, grid)
    return pd.concat(parts, ignore_index=True), figure


def _series(found: list[Regime], over_pruned: bool) -> list[tuple[str, str, pd.DataFrame]]:
    """The curves of one column: name, label and one row a run."""
    series = [(r.name, rf"$\sigma_0$ = {r.settings.model.init_std:g}", r.ends()) for r in found]
    if over_pruned:
        rows = without_signal(found[0], series[0][2])
        series.append(("no signal neuron", "no signal neuron", rows))
    return series


def _mark_chance(axes: Axes, metric: str, found: Regime) -> None:
    """A dotted line at what guessing gives, named beside the panel, where no curve is."""
    classes = found.settings.data.classes
    error = metric == "test_error"
    level, text = (1 - 1 / classes, f"1 - 1/{classes}") if error else (math.log(classes), f"log {classes}")
    axes.axhline(level, **GUIDE)
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "fontsize": SMALL}
    axes.annotate(text, (1, level), (2, 0), **where)


def _shade(axes: Axes, found: Regime) -> None:
    """Hatched: denser than where the signal is predicted to win. Orange: sparser than Theorem 3's range."""
    left, right = axes.get_xlim()
    wins = _collapse_density(found)
    if not wins >= 1:
        axes.axvspan(left, right if np.isnan(wins) else wins, linewidth=0, **RACE_LOST)
    axes.axvspan(found.mild_density, right, linewidth=0, **TOO_SPARSE)
    axes.set_xlim(left, right)


def _collapse_density(found: Regime) -> float:
    """The largest density at which the signal is predicted to win the race (at most 1); NaN if it never does."""
    densities = np.geomspace(1, 1e-3, 400)
    wins = [race.predictors(found.settings, density)[0] > 0 for density in densities]
    return float(densities[wins.index(True)]) if any(wins) else float("nan")


def _finish(figure: Figure, grid: np.ndarray) -> None:
    """Scales, labels and what lines and shades mean."""
    for axes, label in zip(grid[:, 0], METRICS.values(), strict=True):
        axes.set_ylabel(label)
        axes.set(**({"ylim": (-0.03, 0.93)} if label == "test error" else {"yscale": "log"}))
    for axes in grid[:-1].flat:
        axes.set_xlabel("")
    letter_panels(grid.flat)
    shades = [
        Patch(**RACE_LOST, label="memorizing predicted to win"),
        Patch(**TOO_SPARSE, label=r"density < log d / m"),
    ]
    lines = [Line2D([], [], **GUIDE, label="guessing"), Line2D([], [], **TARGET, label=f"train loss {EPS:g}")]
    figure.legend(handles=shades + lines, loc="outside upper center", ncols=4)


def some(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs to show, those of Theorem 3's range that reach EPS. Raises WinnowError where there are none."""
    if rows.empty:
        raise WinnowError(f"{name}: at no fraction of Theorem 3's range does a run reach train loss {EPS:g}")
    return rows


# --- dynamics


def dynamics(rescued: Regime, memorizing: Regime) -> tuple[pd.DataFrame, Figure]:
    """Train and test loss, and test error, over gradient steps, where pruning rescues and where it leaves no signal."""
    figure, grid = new_figure(3, 2, aspect=0.95, sharey="col")
    parts = []
    for panels, found, curves in (
        (grid[0], rescued, _by_range(rescued)),
        (grid[1], memorizing, _by_signal(memorizing)),
    ):
        for axes, (metric, unit) in zip(panels, METRICS.items(), strict=True):
            for number, (name, rows) in enumerate(curves.items()):
                data = over_seeds(at_shared_steps(rows), metric, "step")
                line_with_interval(axes, data, name, f"C{number}", None)
                parts.append(data.assign(series=name, fraction=rows.fraction.iloc[0], regime=found.name, metric=metric))
            _mark_chance(axes, metric, found)
            axes.set(xlabel="gradient step", ylabel=unit, xscale="symlog", xlim=(0, None))
            axes.set(**({"ylim": (-0.03, 0.93)} if metric == "test_error" else {"yscale": "log"}))
        legend_below(panels[1])
    grid[0, 0].set_title("boundary", loc="left")
    grid[1, 0].set_title(memorizing.name, loc="left")
    letter_panels(grid.flat)
    return pd.concat(parts, ignore_index=True), figure


def _by_range(found: Regime) -> dict[str, pd.DataFrame]:
    """The evaluations of the runs of each of `three_fractions`."""
    chosen = three_fractions(found).items()
    return {f"{name}, {f:g} pruned": found.table[np.isclose(found.table.fraction, f)] for name, f in chosen}


def _by_signal(found: Regime) -> dict[str, pd.DataFrame]:
    """The evaluations at the largest fraction, of the runs that keep no signal neuron and of the others."""
    fraction = found.table.fraction.max()
    rows = found.table[np.isclose(found.table.fraction, fraction)]
    none = rows.seed.isin(without_signal(found, rows[rows.step == 0]).seed)  # what a diverged run ends with is unknown
    curves = {"no signal neuron": rows[none], "some signal neuron": rows[~none]}
    return {f"{fraction:g} pruned, {name}": part for name, part in curves.items() if len(part)}


# --- bound


def bound(mild: Regime, event: Regime, boundary: Regime) -> tuple[pd.DataFrame, Figure]:
    """How often Lemma 8's event fails on fresh examples, and the test loss where it holds and where it does not."""
    found = [mild, event, *boundary.at_each(boundary.swept)]
    figure, (left, right) = new_figure(2, 1, aspect=1)
    parts = []
    for number, one in enumerate(found):
        rows = one.ends()
        series = {column: over_seeds(rows, column) for column in ("event_missed", "loss_on_event", "loss_off_event")}
        series = {column: part[part.n >= rows.seed.nunique() / 2] for column, part in series.items()}
        parts += [part.assign(series=column, regime=one.name) for column, part in series.items()]
        style = {"colour": f"C{number}", "marker": curve_marker(number)}
        line_with_interval(left, over_density(series["event_missed"]), named(one), **style)
        densities = np.geomspace(1, 1 - one.table.fraction.max(), 60)
        left.plot(densities, np.minimum(one.event_bounds(densities), 1), **GUIDE | {"color": f"C{number}"})
        for column, where, line in (("loss_on_event", "on E", "--"), ("loss_off_event", "off E", "-")):
            if len(series[column]):
                label = f"{named(one)}, {where}"
                line_with_interval(right, over_density(series[column]), label, **style, linestyle=line)
    _label_bound(left, right, found[0].settings.data.n_train, found[-1].table.fraction.unique())
    return pd.concat(parts, ignore_index=True), figure


def _label_bound(left: Axes, right: Axes, n_train: int, fractions: np.ndarray) -> None:
    left.plot([], [], label=f"Lemma 8's bound, constant {formulas.EVENT_CONSTANT:g}", **GUIDE)
    exponent = n_train**2 / math.log(10)
    left.set_title(rf"the theorem's $\exp(-n^2/\mathrm{{density}}) \leq 10^{{-{exponent:.0f}}}$", loc="left")
    left.set(ylim=(-0.05, 1.05), ylabel=r"$P(\mathrm{not}\ E)$: some $\langle w, \xi\rangle \geq (2m)^{-2/q}$")
    right.set(yscale="log", ylabel="test loss (nats)")
    right.set_title("examples on E (dashed) and off E (solid)", loc="left")
    for axes in (left, right):
        density_axis(axes, fractions)
    legend_below(left)
    legend_below(right)
    letter_panels((left, right))
