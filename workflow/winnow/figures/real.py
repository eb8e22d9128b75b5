"""Figures 3 and 4 and their companions: pruning on real images."""

from collections.abc import Collection
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.selection import COMPETITIVE, EXAMPLES, Regime, final, gains
from ..errors import WinnowError
from ..images.methods import METHODS
from ..images.settings import ImageSettings
from ..paper.published import published
from .curves import PRUNED, density_axis, draw_curves, line_with_interval, over_density, over_seeds, seeds
from .style import GUIDE, PAGE_WIDTH, SMALL, curve_marker, letter_panels, name_intervals, new_figure, published_line

KIND = ImageSettings  # of the experiments that these figures show
SERIES = {"bernoulli": ("random", "random", "o"), "imp": ("imp", "IMP", "s")}  # name in the data, label, marker
WHOLE = {"3a": "mnist", "3b": "cifar10", "4": "cifar10"}  # the paper's data: its curves are drawn over runs on these


def gains_over_dense(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The accuracy of every pruned run minus that of the dense run of its seed.

    Columns fraction, seed, `train_gain` or `test_gain`, run, status and EXAMPLES. rows are of one method; a gain is
    made of two runs: `run` lists both, and it is `diverged` if one of them is.
    """
    gain = metric.replace("accuracy", "gain")
    gained = gains(rows, metric).stack().rename(gain).reset_index()
    dense = rows[rows.fraction == 0].set_index("seed").run
    gained = gained[gained.seed.isin(dense.index)].merge(
        rows[["fraction", "seed", "run", *EXAMPLES]]
    )  # of runs that there are
    pairs = [[dense[seed], run] for seed, run in zip(gained.seed, gained.run, strict=True)]
    return gained.assign(run=pairs, status=np.where(gained[gain].isna(), "diverged", "ended"))


def _accuracies(runs: Regime, number: str, of: str = "") -> tuple[pd.DataFrame, Figure]:
    """Train and test accuracy against sparsity, random pruning and IMP, and what each gains over the dense network.

    `of` says in the legend which network the published curves are of, where it is not ours.
    """
    table = final(runs.table)
    figure, grid = new_figure(2, 2, aspect=0.7, sharex=True)
    parts = []
    for (level, gain), split in zip(grid.T, ("train", "test"), strict=True):
        metric = f"{split}_accuracy"
        for i, (method, rows) in enumerate(_of_methods(table, SERIES).items()):
            (series, label, marker), colour = SERIES[method], f"C{i}"
            ours = over_seeds(rows, metric).assign(series=series, metric=metric, source="winnow")
            line_with_interval(level, over_density(ours), label, colour, marker)
            parts.append(ours)
            if is_whole(table, number):
                paper = published(number, metric, series).assign(series=series, metric=metric, source="paper")
                published_line(level, over_density(paper), f"{label}, paper{of} (n = {paper.n.iloc[0]})", colour)
                parts.append(paper)
                lost = _published_gains(paper).assign(metric=f"{split}_gain")
                published_line(gain, over_density(lost), f"{label}, paper{of}", colour)
                parts.append(lost)
            gained = over_seeds(gains_over_dense(rows, metric), f"{split}_gain")
            line_with_interval(gain, over_density(gained), label, colour, marker)
            parts.append(gained.assign(series=series, metric=f"{split}_gain", source="winnow"))
        level.set_ylabel(f"{split} accuracy (%)")
        level.set_ylim(top=min(level.get_ylim()[1], 101))  # no accuracy is above 100
        _gain_axis(gain, split)
        density_axis(gain, table.fraction.unique())
    if is_whole(table, number):
        name_intervals(grid[0, 0], table.seed.nunique())
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    letter_panels(grid.flat)
    return pd.concat(parts, ignore_index=True), figure


def _published_gains(paper: pd.DataFrame) -> pd.DataFrame:
    """A published curve minus its own dense point; what its seeds gained, in pairs, is not published."""
    dense = paper.y[paper.x == 0].item()
    return paper[paper.x > 0].assign(y=lambda rows: rows.y - dense, bar_low=np.nan, bar_high=np.nan)


def _of_methods(table: pd.DataFrame, methods: Collection[str]) -> dict[str, pd.DataFrame]:
    """The rows of some methods, of those that were run. Raises WinnowError where none was."""
    parts = {method: rows for method in methods if len(rows := table[table.method == method])}
    if not parts:
        there, needed = ", ".join(table.method.unique()), " or ".join(methods)
        raise WinnowError(f"{table.experiment.iloc[0]}: method {there}; the figure shows {needed}")
    return parts


def some_pruned(table: pd.DataFrame) -> pd.DataFrame:
    """A table. Raises WinnowError where no network in it is pruned."""
    if not table.fraction.any():
        raise WinnowError(f"{table.experiment.iloc[0]}: fractions 0; the figure needs one that is pruned as well")
    return table


def _gain_axis(axes: Axes, split: str) -> None:
    """Gains in points: linear within one point of the dense network, logarithmic beyond."""
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.axhline(-COMPETITIVE, **GUIDE)
    axes.set_yscale("symlog", linthresh=1)
    axes.margins(y=0.12)
    axes.set_ylim(min(axes.get_ylim()[0], -1.2), max(axes.get_ylim()[1], 1.2))
    low, high = axes.get_ylim()
    sizes = (1, 2, 5) if low > -10 and high < 10 else (1, 10, 100)  # within a decade, 1 alone would hide the scale
    ticks = [tick for tick in sorted({0, *sizes, *(-size for size in sizes)}) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:+d}".replace("-", "\u2212") if tick else "0" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel(f"gain in {split} accuracy\nover dense (points)")


def fig3a(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 3a: a fully connected network."""
    return _accuracies(runs, "3a")


def is_whole(table: pd.DataFrame, number: str) -> bool:
    """Whether runs are on the paper's own data."""
    return table["data"].iloc[0] == WHOLE[number]


# VGG-16 and ResNet-20 on CIFAR-10, small networks on small images, and narrow ones that are trained for less long.
fig3b = partial(_accuracies, number="3b")
fig3b_narrow = partial(_accuracies, number="3b", of=", full width")
fig4 = partial(_accuracies, number="4")
fig4_narrow = partial(_accuracies, number="4", of=", width 128")


def methods(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Test accuracy minus that of the dense network of the same seed, every method."""
    table = some_pruned(final(runs.table))
    gain, connected = _simultaneous(table), _connected(table)
    names = [name for name in METHODS if name in set(gain.method)]
    fractions = sorted(gain.x.unique())
    figure, (top, below) = new_figure(1, 2, sharex=True, height_ratios=(4, 1))
    figure.set_size_inches(PAGE_WIDTH, 0.7 * PAGE_WIDTH)
    top.axhline(0, color="0.4", linewidth=0.8)
    for i, name in enumerate(names):
        rows, paths = (part[part.method == name].sort_values("x") for part in (gain, connected))
        x = np.arange(len(fractions)) + 0.8 * ((i + 0.5) / len(names) - 0.5)
        style = {"marker": curve_marker(i), "color": f"C{i}", "zorder": 3}
        top.vlines(x, rows.low, rows.high, color=f"C{i}", linewidth=1.3)
        sure = ((rows.low > 0) | (rows.high < 0)).to_numpy()
        top.scatter(x, rows.y, s=24, label=METHODS[name].label, **style)
        top.scatter(x[~sure], rows.y[~sure], s=8, **style | {"color": "white", "zorder": 4})
        below.vlines(x, paths.low, paths.high, color=f"C{i}", linewidth=1.3)
        below.scatter(x, paths.y, s=24, **style)
        for at, point in zip(x, paths.itertuples(), strict=True):
            if point.collapsed:
                below.annotate(f"{point.collapsed}", (at, point.y), (0, 6), textcoords="offset points", fontsize=SMALL)
    below.margins(y=0.3)
    below.set_xticks(range(len(fractions)), [f"{f:g}" for f in fractions])
    below.set(xlabel=PRUNED, ylabel="weights on\na path", xlim=(-0.5, len(fractions) - 0.5))
    top.set_ylabel("gain in test accuracy\nover dense (points)")
    for boundary in range(1, len(fractions)):
        for axes in (top, below):
            axes.axvline(boundary - 0.5, color="0.85", linewidth=0.6)
    title = f"{seeds(gain)} seeds; hollow: the simultaneous 95 % interval contains 0"
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=4, title=title)
    letter_panels((top, below))
    return pd.concat([gain.assign(metric="test_gain"), connected], ignore_index=True), figure


def _connected(table: pd.DataFrame) -> pd.DataFrame:
    """The share of kept weights on a path from input to output, by method and fraction, and in how many runs a layer
    keeps no weight at all (`collapsed`)."""
    parts = []
    for method, rows in table[table.fraction > 0].groupby("method", sort=False):
        empty = (rows.collapsed_layers > 0).groupby(rows.fraction).sum()
        points = over_seeds(rows, "connected_share")
        parts.append(points.assign(method=method, series=method, collapsed=points.x.map(empty)))
    return pd.concat(parts).assign(metric="connected_share")


def _simultaneous(rows: pd.DataFrame) -> pd.DataFrame:
    """The gain of every method and fraction; low and high hold for all of them together at 95 % (Bonferroni)."""
    gains = {m: gains_over_dense(part, "test_accuracy") for m, part in rows.groupby("method", sort=False)}
    level = 1 - 0.05 / sum(part.fraction.nunique() for part in gains.values())
    return pd.concat(
        [over_seeds(part, "test_gain", level=level).assign(method=m, series=m) for m, part in gains.items()]
    )


def noisy(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Gain of random pruning over the dense network of the same seed, by the noise on the pixels."""
    figure, axes, data = _gains_by(runs, "sigma")
    curves = (
        (series, rf"$\sigma$ = {part.sigma.iloc[0]:g}, dense {part.dense.iloc[0]:.1f} %", part)
        for series, part in data.groupby("series", sort=False)
    )
    data = draw_curves(axes, curves)
    density_axis(axes, np.array(sorted(data.x.unique())))
    axes.legend(loc="best")
    return data, figure


def vgg_widths(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Gain of random pruning over the dense network of the same seed, against the network's width."""
    figure, axes, gained = _gains_by(runs, "width")
    gained = gained.rename(columns={"x": "fraction", "width": "x"})
    curves = ((name := f"{fraction:.3g} pruned", name, part) for fraction, part in gained.groupby("fraction"))
    data = draw_curves(axes, curves, over="width")
    dense = gained.groupby("x").dense.first()
    axes.set(xscale="log", xlim=(dense.index.min() / 1.2, 1.2 * dense.index.max()))
    axes.set_xticks(dense.index, [f"{width:g}\n({mean:.1f} %)" for width, mean in dense.items()])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("width, channels of the first convolution\n(test accuracy of the dense network)")
    axes.legend(loc="best")
    return data, figure


def _gains_by(runs: Regime, key: str) -> tuple[Figure, Axes, pd.DataFrame]:
    """Gain over the dense network of the same seed, by a key's value and the fraction, and axes to draw it on."""
    table = some_pruned(final(runs.table))
    figure, axes = new_figure()
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.set_ylabel("gain in test accuracy\nover dense (points)")
    parts = []
    for value, rows in table.groupby(key):
        dense = rows[rows.fraction == 0].test_accuracy.mean()
        curve = over_seeds(gains_over_dense(rows, "test_accuracy"), "test_gain")
        parts.append(curve.assign(series=f"{key} {value:g}", **{key: value}, dense=dense))
    return figure, axes, pd.concat(parts, ignore_index=True)
