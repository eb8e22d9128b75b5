"""Figures 3 and 4 and their companions: pruning on real images."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..images.settings import ImageSettings
from ..judge import practice
from ..judge.stats import mean_interval
from ..paper.published import published
from .style import COLUMN_WIDTH, line_with_interval, new_figure, published_line
from .synthetic import PRUNED

KIND = ImageSettings  # of the experiments that these figures show
METHODS = {
    "bernoulli": "random",
    "exact": "random, exact count",
    "layerwise": "random, layerwise",
    "erk": "random, ERK",
    "shuffled_imp": "random, IMP's layer sizes",
    "magnitude": "magnitude",
    "snip": "SNIP",
    "grasp": "GraSP",
    "synflow": "SynFlow",
    "imp": "IMP (after training)",
}
MARKERS = "osD^v<>P*X"
WHOLE = {"3a": "mnist", "3b": "cifar10", "4": "cifar10"}  # the paper's data: its curves are drawn over runs on these


def over_seeds(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean of a metric over seeds at every fraction, with its interval: columns x, y, low, high, n."""
    return _with_interval(practice.by_seed(rows, metric))


def _with_interval(wide: pd.DataFrame) -> pd.DataFrame:
    low, high = mean_interval(wide.to_numpy())
    columns = {"x": wide.columns.to_numpy(float), "y": wide.mean().to_numpy(), "low": low, "high": high}
    return pd.DataFrame(columns | {"n": len(wide)})


def _density_axis(axes: Axes, fractions: np.ndarray) -> None:
    """Equal steps for equal factors of the weights that are left, labelled with the pruned fraction."""
    axes.set_xscale("function", functions=(lambda f: -np.log1p(-np.minimum(f, 0.9999)), lambda u: -np.expm1(-u)))
    shown = []
    for fraction in sorted(fractions, reverse=True):  # from the right, as many labels as have room
        if not shown or np.log1p(-fraction) - np.log1p(-shown[-1]) > -np.log1p(-max(fractions)) / 9:
            shown.append(fraction)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda f, _: f"{f:.3g}".replace("0.", ".")))
    axes.set_xlabel(PRUNED)


def _accuracies(metrics: pd.DataFrame, number: str) -> tuple[pd.DataFrame, Figure]:
    """Train and test accuracy against sparsity, random pruning and iterative magnitude pruning."""
    table = practice.final(metrics)
    figure, (left, right) = new_figure(columns=2)
    parts = []
    for axes, split in ((left, "train"), (right, "test")):
        metric = f"{split}_accuracy"
        for colour, (series, method, label) in {
            "C0": ("random", "bernoulli", "random"),
            "C1": ("imp", "imp", "IMP"),
        }.items():
            ours = over_seeds(table[table.method == method], metric)
            line_with_interval(
                axes, ours, f"{label} (n = {ours.n.iloc[0]})", colour, "o" if series == "random" else "s"
            )
            parts.append(ours.assign(series=series, metric=metric, source="winnow"))
            if table["data"].iloc[0] == WHOLE[number]:
                paper = published(number, metric, series)
                published_line(axes, paper, f"{label}, paper (n = {paper.n.iloc[0]})", colour)
                parts.append(paper.assign(series=series, metric=metric, source="paper"))
        _density_axis(axes, ours.x.to_numpy())
        axes.set_ylabel(f"{split} accuracy (%)")
    left.legend(frameon=False, fontsize="x-small", loc="lower left")
    return pd.concat(parts, ignore_index=True), figure


def fig3a(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 3a: a fully connected network."""
    return _accuracies(tables["fig3a"], "3a")


def fig3b(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 3b: VGG-16 on CIFAR-10."""
    return _accuracies(tables["fig3b"], "3b")


def fig3b_small(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 3b with a small network on small images."""
    return _accuracies(tables["fig3b-small"], "3b")


def fig4(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 4: ResNet-20 on CIFAR-10."""
    return _accuracies(tables["fig4"], "4")


def fig4_small(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 4 with a small network on small images."""
    return _accuracies(tables["fig4-small"], "4")


def methods(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Test accuracy minus that of the dense network of the same seed, every method."""
    table = practice.final(tables["methods"])
    data = practice.comparisons(table)
    names = [name for name in METHODS if name in set(data.method)]
    fractions = sorted(data.fraction.unique())
    figure, axes = new_figure()
    figure.set_size_inches(2 * COLUMN_WIDTH, 1.1 * COLUMN_WIDTH)
    axes.axhline(0, color="0.4", linewidth=0.8)
    for i, name in enumerate(names):
        rows = data[data.method == name].sort_values("fraction")
        x = np.arange(len(fractions)) + 0.8 * ((i + 0.5) / len(names) - 0.5)
        sure = (np.minimum(rows.p_better, rows.p_worse) < 0.025).to_numpy()
        colour = f"C{i}"
        axes.vlines(x, rows.low, rows.high, color=colour, linewidth=1.3)
        axes.scatter(x, rows.gain, s=22, marker=MARKERS[i], color=colour, zorder=3, label=METHODS[name])
        axes.scatter(x[~sure], rows.gain[~sure], s=7, marker=MARKERS[i], color="white", zorder=4)
    axes.set_xticks(range(len(fractions)), [f"{f:g}" for f in fractions])
    axes.set(xlabel=PRUNED, ylabel="gain in test accuracy (points)", xlim=(-0.5, len(fractions) - 0.5))
    for boundary in range(1, len(fractions)):
        axes.axvline(boundary - 0.5, color="0.85", linewidth=0.6)
    axes.legend(
        frameon=False,
        fontsize="x-small",
        loc="lower left",
        title=f"n = {data.n.min()} seeds; filled: p < 0.05",
        title_fontsize="x-small",
    )
    return data, figure


def noisy(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Gain of random pruning over the dense network of the same seed, by the noise on the pixels."""
    table = practice.final(tables["noisy"])
    figure, axes = new_figure()
    axes.axhline(0, color="0.4", linewidth=0.8)
    parts = []
    for i, (sigma, rows) in enumerate(table.groupby("sigma")):
        gains = practice.gains(rows)
        curve = _with_interval(gains.assign(dense=0.0).rename(columns={"dense": 0.0}).sort_index(axis=1))
        dense = rows[rows.fraction == 0].test_accuracy.mean()
        line_with_interval(axes, curve, rf"$\sigma$ = {sigma:g} (dense: {dense:.1f} %)", f"C{i}", MARKERS[i])
        parts.append(curve.assign(sigma=sigma, dense=dense))
    data = pd.concat(parts, ignore_index=True)
    _density_axis(axes, np.array(sorted(data.x.unique())))
    axes.set_ylabel("gain in test accuracy (points)")
    axes.legend(
        frameon=False, fontsize="x-small", loc="lower left", title=f"n = {data.n.min()} seeds", title_fontsize="x-small"
    )
    return data, figure
