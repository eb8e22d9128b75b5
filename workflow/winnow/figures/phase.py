"""The phase diagram that the paper leaves open (p. 14): test accuracy against predicted boundaries.

The predictions are those of `analysis/race.py`. Slope and constant are fitted on the experiments that sweep noise and
width; the one that sweeps sigma_0, with another n and d, is held out.
"""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.special import expit

from ..analysis import race
from ..analysis.selection import Regime
from ..config.base import canonical
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .curves import PRUNED, over_seeds, seeds
from .style import GUIDE, SMALL, curve_marker, legend_below, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that these figures show
WIDE = 0.2  # an interval of the mean accuracy that a cell's colour does not show
DOT = {"color": "white", "markeredgecolor": "black", "markeredgewidth": 0.6, "markersize": 3, "label": "uncertain"}
LABELS = {"sigma_n": r"noise $\sigma_n$", "width": "neurons per class, m", "init_std": r"initial weights $\sigma_0$"}


def phase(noise: Regime, width: Regime, held_out: Regime) -> tuple[pd.DataFrame, Figure]:
    """Test accuracy over pruned fraction and sigma_n, m or sigma_0, and all of it against one predicted variable."""
    maps = (noise, width, held_out)
    points = pd.concat(map(_points, maps), ignore_index=True)
    fitted, held = (points[(points.experiment == held_out.name) == one] for one in (False, True))
    slope, constant = race.fit(fitted)
    low, high = race.intervals(fitted)
    cells = _cells(points.assign(prediction=race.accuracy(points, slope, constant)))
    figure, grid = new_figure(2, 2, aspect=0.85)
    for axes, found in zip(grid.flat, maps, strict=False):
        _diagram(axes, cells[cells.experiment == found.name], found.settings, found.swept, constant)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, handlelength=3)
    _collapse(grid[1, 1], cells, slope, constant, (low[1], high[1]))
    errors = {
        "fitted_error": _error(fitted, slope, constant),
        "held_out_error": _error(held, slope, constant),
        "boundary_error": _error(held[_near(held, slope, constant)], slope, constant),
        "constant_error": float((race.means(held).accuracy - race.means(fitted).accuracy.mean()).abs().mean()),
    }
    names = ("a, b (fitted)", "c (held out)", "c, next to the boundary", "c, by a constant")
    told = "\n".join(f"{name}: {error:.3f}" for name, error in zip(names, errors.values(), strict=True))
    grid[1, 1].annotate(f"mean error\n{told}", (0.02, 1), xycoords="axes fraction", va="top", fontsize=SMALL)
    letter_panels(grid.flat)
    fit = {"slope": slope, "slope_low": low[0], "slope_high": high[0]}
    fit |= {"constant": constant, "constant_low": low[1], "constant_high": high[1]}
    return cells.assign(**fit, **errors), figure


def _cells(points: pd.DataFrame) -> pd.DataFrame:
    """Every cell of the maps: its mean accuracy (y) over the pruned fraction (x), and what was predicted there."""
    keys = ["experiment", "swept", "value"]
    parts = [
        over_seeds(part, "accuracy").assign(**dict(zip(keys, key, strict=True))) for key, part in points.groupby(keys)
    ]
    predicted = ["reached", "race", "kept", "chance", "prediction"]
    means = race.means(points).rename(columns={"fraction": "x"})[[*keys, "x", *predicted]]
    cells = pd.concat(parts).merge(means, on=[*keys, "x"])
    return cells.assign(series=cells.swept + " = " + cells.value.map(canonical))


def _points(found: Regime) -> pd.DataFrame:
    """The points of an experiment at every value of its swept key."""
    key = found.swept
    parts = [
        race.points(one, experiment=found.name, swept=key, value=one.table[key].iloc[0]) for one in found.at_each(key)
    ]
    return pd.concat(parts, ignore_index=True)


def _near(points: pd.DataFrame, slope: float, constant: float) -> pd.Series:
    """Whether a point is next to the boundary: predicted between a tenth and nine tenths of the way."""
    return pd.Series(expit(slope * (points.race - constant)), points.index).between(0.1, 0.9)


def _error(points: pd.DataFrame, slope: float, constant: float) -> float:
    if points.empty:
        return float("nan")
    means = race.means(points)
    return float(np.abs(race.accuracy(means, slope, constant) - means.accuracy).mean())


def _diagram(axes: Axes, cells: pd.DataFrame, settings: TwoLayerSettings, key: str, constant: float) -> None:
    """A map of mean accuracy with the boundaries: race (dotted), fitted race (solid), lost classes (dashed)."""
    means = cells.pivot(index="value", columns="x", values="y")
    fractions, values = means.columns.to_numpy(), means.index.to_numpy()
    chance = 1 / settings.data.classes
    wide = cells[cells.high - cells.low > WIDE]
    axes.plot(np.searchsorted(fractions, wide.x), np.searchsorted(values, wide.value), "o", **DOT)
    image = axes.imshow(means, origin="lower", aspect="auto", cmap="cividis", vmin=chance, vmax=1)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, ticks=[chance, 0.5, 0.75, 1])
    bar.ax.set_yticklabels([f"{chance:g}", "0.5", "0.75", "1"])
    where = [settings.at({key: canonical(value)}) for value in values]
    lost = [formulas.live_density(s.data.classes, s.model.width) for s in where]
    for label, densities, style in (
        ("race, fitted constant", [_boundary(s, constant) for s in where], {"color": "C3", "linewidth": 3}),
        ("race, constant 0", [_boundary(s, 0) for s in where], {"color": "white", "linewidth": 1.6, "linestyle": ":"}),
        ("a class lost", lost, {"color": "C3", "linewidth": 1.5, "linestyle": "--"}),
    ):
        x = np.interp(-np.log(densities), -np.log(1 - fractions), np.arange(len(fractions)), -0.5, len(fractions) - 0.5)
        outline = [withStroke(linewidth=style["linewidth"] + 1.2, foreground="black")]
        axes.plot(x, np.arange(len(values)), label=label, path_effects=outline, **style)
    named = range(0, len(fractions), math.ceil(len(fractions) / 7))  # as many as have room
    axes.set_xticks(named, [f"{fractions[i]:g}" for i in named])
    axes.set_yticks(range(len(values)), [f"{v:g}" for v in values])
    axes.set(xlabel=PRUNED, ylabel=LABELS[key], xlim=(-0.5, len(fractions) - 0.5), ylim=(-0.5, len(values) - 0.5))
    axes.set_title(f"test accuracy ({seeds(cells)})", loc="left")


def _boundary(settings: TwoLayerSettings, constant: float) -> float:
    """The largest density at which the race exceeds a constant: 2 if already above density 1 (off the map)."""
    densities = np.geomspace(1, 1e-3, 200)
    above = [race.predictors(settings, density)[0] > constant for density in densities]
    if above[0]:
        return 2.0
    return float(densities[above.index(True)]) if any(above) else 1e-3


def _collapse(axes: Axes, cells: pd.DataFrame, slope: float, constant: float, interval: tuple) -> None:
    """Accuracy and its interval, with the lost classes divided out, against the race of every cell."""
    cells = cells[cells.kept > 0.9]
    won = cells[["y", "low", "high"]].sub(cells.chance, axis=0).div(cells.kept - cells.chance, axis=0)
    names = {"sigma_n": r"by noise $\sigma_n$", "width": "by width m", "init_std": r"held out, by $\sigma_0$"}
    for number, (swept, label) in enumerate(names.items()):
        chosen = cells.swept == swept
        x, (y, low, high) = cells.race[chosen], won[chosen].to_numpy().T
        axes.vlines(x, low, high, color=f"C{number}", linewidth=0.8, alpha=0.6)
        axes.plot(x, y, curve_marker(number), markersize=3.5, color=f"C{number}", label=label)
    x = np.linspace(cells.race.min(), cells.race.max(), 200)
    label = f"fit: constant {constant:.2f}" + (
        "" if np.isnan(interval[0]) else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    )
    axes.plot(x, expit(slope * (x - constant)), color="0.3", linewidth=1, label=label)
    axes.vlines(0, -0.1, 1.1, **GUIDE)
    axes.set(xlabel="predicted log advantage of the signal", ylabel="accuracy above guessing, rescaled")
    axes.set_ylim(min(-0.1, won.low.min() - 0.05), 2.1)  # room to write in
    axes.set_yticks(np.linspace(0, 1, 5))
    legend_below(axes)
