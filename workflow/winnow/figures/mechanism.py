"""The theory's own experiment, why it comes out so: features, their decomposition, the lemmas, interventions."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.selection import (
    EPS,
    RUN,
    Regime,
    as_densities,
    exponents,
    first_below,
    last,
    learning_times,
    memorized,
    pruned_coordinates,
    three_fractions,
    width_rows,
    without_signal,
)
from ..analysis.stats import mean_interval
from ..errors import WinnowError
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .curves import density_axis, draw_curves, line_with_interval, over_density, over_seeds, seeds
from .regimes import named, some
from .style import GUIDE, SMALL, legend_below, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that these figures show
STARTS = ("noise on all coordinates", "noise 0 on the signals'")
UPPER = GUIDE | {"linestyle": "--"}


def rescued(boundary: Regime) -> Regime:
    """The runs from the largest sigma_0, where pruning rescues the dense network."""
    return boundary.at_each("init_std")[-1]


# --- features


def features(boundary: Regime) -> tuple[pd.DataFrame, Figure]:
    """The paper's schematic Fig. 1, measured: over neurons, <w, mu> of their own signal and <w, xi> of fresh noise."""
    found = rescued(boundary)
    ends = last(found.table)
    figure, grid = new_figure(2, 1, aspect=0.85)
    labels = {
        "signal_strength": r"signal strength $\langle w_{kr} \odot m_{kr}, \mu e_k\rangle$",
        "noise_strength": r"noise strength $\langle w_{kr} \odot m_{kr}, \xi\rangle$, fresh $\xi$",
    }
    chosen = {f"{name}, {f:g} pruned": ends[np.isclose(ends.fraction, f)] for name, f in three_fractions(found).items()}
    parts = []
    for axes, (column, label) in zip(grid, labels.items(), strict=True):
        parts.append(_histograms(axes, chosen, column))
        axes.set(xlabel=label, ylabel="share of neurons", yscale="log")
        axes.set_ylim(top=1000)  # room for the inset
        axes.set_yticks([1e-4, 1e-2, 1])
        legend_below(axes)
    letter_panels(grid)
    return pd.concat(parts, ignore_index=True), figure


def _histograms(axes: Axes, chosen: dict[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Draw the share of neurons by strength, all seeds that did not diverge together, and the means over these in an
    inset. Raises WinnowError where all diverged."""
    ended = {name: rows[rows.status != "diverged"] for name, rows in chosen.items()}
    pools = {name: np.concatenate([*rows[column], []]).astype(float) for name, rows in ended.items()}
    everything = np.concatenate(list(pools.values()))
    if not len(everything):
        raise WinnowError(f"fractions {', '.join(chosen)}: all runs diverged")
    edges = np.linspace(everything.min(), everything.max(), 61)
    means, parts = [], []
    for number, (name, values) in enumerate(pools.items()):
        mean = over_seeds(chosen[name].assign(mean=chosen[name][column].map(np.mean)), "mean")
        shares, sd = np.histogram(values, edges)[0] / max(len(values), 1), np.std(values) if len(values) else np.nan
        text = f"{name} ({seeds(mean)}):\nmean {mean.y[0]:.4f}, s.d. {sd:.3f}"
        axes.stairs(shares, edges, color=f"C{number}", linewidth=1.2, label=text)
        bins = pd.DataFrame({"left": edges[:-1], "share": shares, "neurons_sd": sd, "neurons": len(values)})
        means.append(mean)
        parts.append(mean.assign(series=name, strength=column).merge(bins, how="cross"))
    _inset_of_means(axes, pd.concat(means))
    return pd.concat(parts)


def _inset_of_means(axes: Axes, means: pd.DataFrame) -> None:
    """The means and their intervals on a scale of their own: on that of the neurons they coincide."""
    inset = axes.inset_axes((0.68, 0.74, 0.3, 0.2))
    for number, mean in enumerate(means.itertuples()):
        inset.hlines(-number, mean.low, mean.high, color=f"C{number}", linewidth=1.5)
        inset.plot(mean.y, -number, "o", color=f"C{number}", markersize=3.5)
    inset.set(yticks=[], ylim=(-2.7, 0.7))
    inset.locator_params(axis="x", nbins=2)
    inset.set_title("means", fontsize=SMALL, pad=2)


# --- decomposition


def decomposition(
    mild: Regime, boundary: Regime, over: Regime, widths: Regime, *starts: Regime
) -> tuple[pd.DataFrame, Figure]:
    """max gamma, zeta and |omega| against density in two regimes, what is memorized against sigma_0 with noise on the
    signals' coordinates and without, max gamma against m, and the two times."""
    figure, grid = new_figure(2, 3, aspect=0.8)
    parts = [_coefficients(axes, one) for axes, one in zip(grid[0], (mild, rescued(boundary)), strict=True)]
    grid[1, 1].sharey(grid[1, 0])  # before either is drawn: the axis is to hold what both show
    parts += [_starts(*panel) for panel in zip(grid[1], starts, STARTS, strict=True)]
    parts.append(_width(grid[2, 0], widths))
    parts.append(_times(grid[2, 1], mild, over))
    letter_panels(grid.flat)
    return pd.concat(parts, ignore_index=True), figure


def _coefficients(axes: Axes, found: Regime) -> pd.DataFrame:
    rows = found.ends()
    names = {"gamma_max": r"max $\gamma$", "zeta_max": r"max $\zeta$", "omega_max": r"max $|\omega|$"}
    drawn = draw_curves(axes, ((column, label, over_seeds(rows, column)) for column, label in names.items()))
    density = np.geomspace(1, 1 - found.table.fraction.max(), 50)
    axes.plot(density, found.noise_scale(density), label=r"$\sigma_0 \sigma_n (\mathrm{density}\, d)^{1/2}$", **GUIDE)
    axes.axhline(found.level, label=r"$m^{-1/q}$", **UPPER)
    density_axis(axes, found.table.fraction.unique())
    axes.set(yscale="log", ylabel="coefficient")
    _shade_unfinished(axes, rows)
    axes.set_title(named(found), loc="left")
    legend_below(axes, ncols=2)
    return drawn.assign(panel=found.name)


def _shade_unfinished(axes: Axes, rows: pd.DataFrame) -> None:
    """Grey where most runs end above EPS: what is drawn there is what they had learned by then."""
    reached = rows.groupby("fraction").reached.mean() >= 0.5
    beyond = reached.index[reached.index > max(reached.index[reached], default=-1)]
    if len(beyond):
        shade = {"color": "0.5", "alpha": 0.15, "linewidth": 0}
        label = "most runs unfinished"
        axes.axvspan(1.05 * (1 - beyond[0]), axes.get_xlim()[1], label=label, **shade)


def _starts(axes: Axes, found: Regime, title: str) -> pd.DataFrame:
    """What is memorized over sigma_0, and Theorem 3's bound of it in the dense network."""
    rows = first_below(found.table, EPS, ["init_std", *RUN]).assign(memorized=memorized)
    curves = (
        (f"memorized, {fraction:g} pruned", f"{fraction:g} pruned", over_seeds(part, "memorized", "init_std"))
        for fraction, part in rows.groupby("fraction")
    )
    drawn = draw_curves(axes, curves, over="init_std")
    sizes = np.sort(rows.init_std.unique())
    bounds = formulas.noise_bounds(*found.size[:3], sizes, found.settings.data.sigma_n, density=1)
    axes.plot(sizes, bounds[1], label="Theorem 3's bound, dense", **GUIDE)
    axes.axhline(found.level, label=r"$m^{-1/q}$", **UPPER)
    axes.set(xscale="log", yscale="log", xlabel=r"initial weights $\sigma_0$", ylabel=r"max($\zeta$, $-\omega$)")
    axes.set_title(title, loc="left")
    legend_below(axes, ncols=2)
    return drawn.assign(panel=found.name)


def _width(axes: Axes, found: Regime) -> pd.DataFrame:
    rows = some(width_rows(found), found.name)
    series, labels = "gamma_least, {:g} pruned", "{:g} pruned{}"
    curves = (
        (series.format(fraction), labels.format(fraction, _exponent(part)), over_seeds(part, "gamma_least", "width"))
        for fraction, part in rows.groupby("fraction")
    )
    drawn = draw_curves(axes, curves, over="width").assign(panel="width")
    widths = np.sort(rows.width.unique())
    axes.plot(widths, widths ** (-1 / found.settings.model.power), label=r"$m^{-1/q}$", **GUIDE)
    axes.set(xscale="log", yscale="log", xlabel="neurons per class, m", ylabel=r"max $\gamma$, least class")
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.set_xticks([], minor=True)
    axes.set_title("width: fitted exponent [95 % interval]", loc="left")
    legend_below(axes)
    return drawn


def _exponent(rows: pd.DataFrame) -> str:
    """The exponent of max gamma in the width: one slope a seed, their mean and its interval."""
    slopes = exponents(rows, "gamma_least", "width")
    if not len(slopes):
        return ""
    low, high = mean_interval(slopes)
    return f": exponent {slopes.mean():.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _times(axes: Axes, signal: Regime, noise: Regime) -> pd.DataFrame:
    learned = over_seeds(learning_times(signal), "steps")
    ends = without_signal(noise, noise.ends())
    memorized = over_seeds(ends[ends.reached], "step")
    line_with_interval(axes, over_density(learned), r"condition2: max $\gamma \geq m^{-1/q}$, all classes", "C0")
    line_with_interval(axes, over_density(memorized), f"overprune, no signal neuron: train loss {EPS:g}", "C1", "s")
    if len(memorized):
        density = np.geomspace(1 - memorized.x.min(), 1 - memorized.x.max(), 20)
        law = memorized.y.iloc[0] * (density / density[0]) ** (-noise.settings.model.power / 2)
        axes.plot(density, law, label=r"$\mathrm{density}^{-q/2}$", **GUIDE)
    axes.set(yscale="log", ylabel="gradient steps")
    density_axis(axes, np.concatenate([signal.table.fraction.unique(), noise.table.fraction.unique()]))
    axes.set_title("time to learn, time to memorize", loc="left")
    legend_below(axes)
    parts = {"time to learn": learned, "time to memorize": memorized}
    return pd.concat([part.assign(series=name, panel="times") for name, part in parts.items()])


# --- lemmas


def lemmas(boundary: Regime) -> tuple[pd.DataFrame, Figure]:
    """Lemma 4's initial correlations within their bounds, and the three parts of Lemma 8's variance."""
    found = rescued(boundary)
    figure, grid = new_figure(3, 1, aspect=1.1)
    parts = [_correlations(axes, found, part) for axes, part in zip(grid[:2], ("noise", "signal"), strict=True)]
    parts.append(_variances(grid[2], found))
    for axes in grid:
        density_axis(axes, found.table.fraction.unique())
        legend_below(axes)
    asked = math.log(found.settings.data.classes * found.settings.data.dimension) / found.settings.model.width
    grid[1].axvspan(asked, grid[1].get_xlim()[1], color="0.5", alpha=0.15, linewidth=0)
    letter_panels(grid)
    return pd.concat(parts, ignore_index=True), figure


def _correlations(axes: Axes, found: Regime, of: str) -> pd.DataFrame:
    """Lemma 4: the least and the largest initial correlation with the noise or the signal, within its bounds."""
    start, densities = found.starts(), _densities(found)
    if of == "noise":
        low, high = found.noise_bounds(densities)
        axes.set(yscale="log", ylabel=r"$\max_r \langle w_{jr}(0), \xi_i\rangle$")
    else:
        low, high = found.signal_bounds(densities)
        axes.set(ylabel=r"$\max_r \langle w_{jr}(0), \mu_j\rangle$")
    axes.set_title(f"Lemma 4, {of}", loc="left")
    columns = {f"{of}_start_low": "least", f"{of}_start_high": "largest"}
    drawn = draw_curves(axes, ((column, label, over_seeds(start, column)) for column, label in columns.items()))
    axes.plot(densities, np.broadcast_to(low, densities.shape), label="lower bound", **GUIDE)
    axes.plot(densities, high, label="upper bound", **UPPER)
    _name_fewer(axes, over_density(drawn[drawn.series == f"{of}_start_high"]))
    return drawn


def _name_fewer(axes: Axes, data: pd.DataFrame) -> None:
    """Write n at the foot of the panel, below all curves, where points rest on less than half of the seeds."""
    fewer = data[data.n < data.n.max() / 2]
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.35 * (high - low) * bool(len(fewer)), high)
    foot = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom", "rotation": 90, "fontsize": SMALL}
    for point in fewer.itertuples():
        axes.text(point.x, 0.02, f"n = {point.n}", **foot)


def _variances(axes: Axes, found: Regime) -> pd.DataFrame:
    """Lemma 8: the variance of the response to fresh noise, initial, and final without the signals' coordinates."""
    rows = found.ends()
    names = {
        "variance_initial": "initial, mean",
        "variance_noise": "final, mean",
        "variance_noise_max": "final, largest",
    }
    drawn = draw_curves(axes, ((column, label, over_seeds(rows, column)) for column, label in names.items()))
    densities = _densities(found)
    scale = found.noise_scale(densities) ** 2
    axes.plot(
        densities,
        scale,
        label=r"$\sigma_0^2 \sigma_n^2\,\mathrm{density}\,d$",
        **GUIDE | {"color": "black", "linewidth": 1.2, "zorder": 5},
    )
    axes.set(yscale="log", ylabel=r"Var $\langle w, \xi\rangle$ over fresh noise")
    axes.set_title("Lemma 8", loc="left")
    return drawn


def _densities(found: Regime) -> np.ndarray:
    return np.geomspace(1, 1 - found.table.fraction.max(), 60)


# --- causes


def causes(base: Regime, dense_signal: Regime, small_init: Regime) -> tuple[pd.DataFrame, Figure]:
    """Test error when only some coordinates are pruned, with a dense signal, and with a smaller init instead."""
    pruned = {target: pruned_coordinates(base, target) for target in ("all", "noise", "signal")}
    panels = {
        "target": {
            "all coordinates": pruned["all"],
            "noise coordinates only": pruned["noise"],
            "signal coordinates only": pruned["signal"],
        },
        "control": {
            "pruned": pruned["all"],
            "pruned, dense signal": dense_signal.ends(),
            r"dense, $\sigma_0 \sqrt{\mathrm{density}}$": as_densities(small_init, base),
        },
    }
    figure, grid = new_figure(2, 1, aspect=0.75, sharey=True)
    parts = []
    for axes, (panel, curves) in zip(grid, panels.items(), strict=True):
        drawn = draw_curves(axes, ((label, label, over_seeds(ends, "test_error")) for label, ends in curves.items()))
        parts.append(drawn.assign(panel=panel))
        axes.axhline(1 - 1 / base.settings.data.classes, **GUIDE)
        density_axis(axes, base.table.fraction.unique())
        axes.set(ylim=(-0.03, 0.93))
        axes.set_title({"target": "which coordinates are pruned", "control": "what else may do it"}[panel], loc="left")
        legend_below(axes)
    grid[0].set_ylabel("test error")
    letter_panels(grid)
    return pd.concat(parts, ignore_index=True), figure
