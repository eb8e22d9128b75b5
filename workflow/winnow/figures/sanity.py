"""What pruning methods owe to their masks: the checks of `judge.sanity`, and the accuracies behind them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis import sanity as checks
from ..analysis.selection import COMPETITIVE, Regime, final
from ..errors import WinnowError
from ..images.settings import ImageSettings
from .curves import density_axis, line_with_interval, over_density, over_seeds, seeds
from .real import gains_over_dense, some_pruned
from .style import curve_marker, letter_panels, new_figure

KIND = ImageSettings  # of the experiments that this figure shows
LABELS = {"small": "small dense"}  # of checks; the others' are their names
NEAR = 2  # points, up to which the axis of margins is linear


def sanity(*runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Every check of every method by network, the accuracies of the first network, random pruning by width."""
    experiments = {one.name: one for one in runs}
    networks = checks.networks(experiments)
    if not networks:
        raise WinnowError("sanity-*: the figure needs sanity-lenet or sanity-mlp, which have the methods")
    figure, grid = new_figure(2, 2, aspect=0.85)
    panels = list(grid.flat)[: len(networks) + 2]
    for unused in list(grid.flat)[len(panels) :]:
        unused.remove()
    parts = [_margins(axes, experiments, network) for axes, network in zip(panels, networks, strict=False)]
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    parts.append(_accuracies(panels[-2], experiments, networks[0]))
    parts.append(_by_width(panels[-1], experiments))
    letter_panels(panels)
    return pd.concat(parts, ignore_index=True), figure


def _margins(axes: Axes, experiments: dict[str, Regime], network: str) -> pd.DataFrame:
    """What each mask has over what it is held against, points, mean over fractions; a place on the axis a method."""
    found = checks.margins(experiments, network).assign(status="ended")
    methods = [method for method in checks.NAMES if method in set(found.method)]
    found["x"] = found.method.map(methods.index)
    axes.axhspan(-COMPETITIVE, COMPETITIVE, color="0.9", linewidth=0)
    axes.axhline(0, color="0.4", linewidth=0.8)
    parts = []
    for i, check in enumerate(checks.CHECKS):
        if (rows := found[found.check == check]).empty:
            continue
        points = over_seeds(rows, "margin", x="x")
        at = points.x + 0.8 * ((i + 0.5) / len(checks.CHECKS) - 0.5)
        axes.vlines(at, points.low, points.high, color=f"C{i}", linewidth=1.3)
        label = LABELS.get(check, check)
        axes.scatter(at, points.y, s=16, color=f"C{i}", marker=curve_marker(i), label=label, zorder=3)
        parts.append(points.assign(series=check, method=[methods[int(x)] for x in points.x], panel=network))
    data = pd.concat(parts)
    axes.set_yscale("symlog", linthresh=NEAR)
    low, high = axes.get_ylim()
    ticks = [tick for tick in (-50, -10, -2, -1, 0, 1, 2, 10, 50) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:+d}".replace("-", "\u2212") if tick else "0" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xticks(range(len(methods)), [checks.NAMES[m].removesuffix(" pruning") for m in methods])
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.set_xlabel("method")
    axes.set_ylabel("test accuracy over\nthe check's (points)")
    axes.set_title(f"{network} ({seeds(data)})", loc="left")
    return data.assign(metric="margin")


def _accuracies(axes: Axes, experiments: dict[str, Regime], network: str) -> pd.DataFrame:
    """Test accuracy by fraction: every method's masks as they are, random pruning, small dense networks."""
    rows = final(experiments[f"sanity-{network}"].table)
    rows = rows[(rows.check == "none") & (rows.fraction > 0)]
    curves = {checks.NAMES[method]: part for method, part in rows.groupby("method", sort=False)}
    random = final(experiments[f"sanity-random-{network}"].table)
    curves["random"] = random[random.fraction.isin(rows.fraction)]
    curves["small dense"] = final(checks.small(experiments, network, rows.fraction))
    parts = []
    for i, (name, part) in enumerate(curves.items()):
        points = over_seeds(part, "test_accuracy").assign(series=name, metric="test_accuracy", panel="accuracy")
        line_with_interval(axes, over_density(points), name, f"C{i}", curve_marker(i))
        parts.append(points)
    density_axis(axes, rows.fraction.unique())
    axes.set_ylabel(f"test accuracy (%), {network}")
    axes.legend(loc="best")
    return pd.concat(parts)


def _by_width(axes: Axes, experiments: dict[str, Regime]) -> pd.DataFrame:
    """What random pruning costs each width, over its own dense network."""
    axes.axhline(0, color="0.4", linewidth=0.8)
    parts = []
    for i, width in enumerate(checks.widths(experiments)):
        one = experiments[f"sanity-random-{width}"]
        points = over_seeds(gains_over_dense(some_pruned(final(one.table)), "test_accuracy"), "test_gain")
        hidden = "-".join(map(str, one.settings.model.hidden))
        line_with_interval(axes, over_density(points), hidden, f"C{i}", curve_marker(i))
        parts.append(points.assign(series=f"random, {width}", metric="test_gain", panel="widths"))
    data = pd.concat(parts)
    density_axis(axes, np.array(sorted(data.x.unique())))
    axes.set_ylabel("random pruning's gain over\ndense (points)")
    axes.legend(loc="best", title="hidden neurons")
    return data
