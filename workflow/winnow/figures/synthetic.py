"""Figures 2 and 5: the synthetic experiments, ours over what the paper shows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.selection import Regime, both_signs, last
from ..paper.published import published
from ..two_layer.settings import TwoLayerSettings
from .curves import POSITIVE, PRUNED, at_shared_steps, line_with_interval, over_seeds
from .style import legend_below, name_intervals, new_figure, published_line

KIND = TwoLayerSettings  # of the experiments that these figures show
COLOURS = {"train": "C0", "test": "C1", "full": "C0", "pruned": "C1"}


def fig2a(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2a: train and test error after training, sigma_n = 0.5."""
    return _by_fraction(runs.table, "2a", {"train_error": "train error", "test_error": "test error"}, "error")


def fig2b(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2b: test error after training, sigma_n = 1."""
    return _by_fraction(runs.table, "2b", {"test_error": "test error"}, "error")


def fig5a(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 5a: train and test error after training, four hidden neurons, sigma_n = 1.5."""
    return _of_both_kinds(runs, "5a", {"train_error": "train error", "test_error": "test error"}, "error")


def fig5b(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 5b: train and test loss after training, four hidden neurons, sigma_n = 1.5."""
    names = {"train_loss": "train loss", "test_loss": "test loss"}
    data, figure = _of_both_kinds(runs, "5b", names, "loss (nats)")
    figure.axes[0].set(yscale="log", ylim=(data.y[data.y > 0].min() / 2, None))
    return data, figure


def _of_both_kinds(experiment: Regime, number: str, names: dict[str, str], unit: str) -> tuple[pd.DataFrame, Figure]:
    """As `_by_fraction`, of the runs that start with outputs of both signs.

    Those of one sign, which cannot fit a class, are shown one by one and held up to nothing: some turn an output round,
    and of a few that differ this much a mean says nothing.
    """
    table, both = experiment.table, both_signs(experiment)
    figure, axes = new_figure(aspect=1)
    parts = _curves(axes, table[both], number, names)
    for metric, name in names.items() if not both.all() else ():
        alone = [over_seeds(run, metric) for _, run in last(table[~both]).groupby("seed")]
        points, label = pd.concat(alone), f"{name}, a run of outputs of one sign (n = {len(alone)})"
        axes.plot(points.x, points.y, "x", color=COLOURS[name.split()[0]], markersize=3.5, label=label)
        parts.append(points.assign(series=f"{metric}, outputs of one sign", source="winnow"))
    axes.set(xlabel=PRUNED, ylabel=unit, xlim=(-0.03, 0.93))
    legend_below(axes)
    return pd.concat(parts, ignore_index=True), figure


def _by_fraction(table: pd.DataFrame, number: str, names: dict[str, str], unit: str) -> tuple[pd.DataFrame, Figure]:
    """Ours and the paper's curves of some metrics over the pruned fraction."""
    figure, axes = new_figure()
    parts = _curves(axes, table, number, names)
    axes.set(xlabel=PRUNED, ylabel=unit, xlim=(-0.03, 0.93))
    _make_room(axes)
    return pd.concat(parts, ignore_index=True), figure


def _curves(axes: Axes, table: pd.DataFrame, number: str, names: dict[str, str]) -> list[pd.DataFrame]:
    """Draw ours and the paper's curves of some metrics; returns their numbers."""
    ends, parts = last(table), []
    for metric, name in names.items():
        colour = COLOURS[name.split()[0]]
        ours, paper = over_seeds(ends, metric), published(number, metric)
        line_with_interval(axes, ours, name, colour)
        shown = paper[paper.y > 0] if metric in POSITIVE else paper  # 0 has no place on a logarithmic axis
        published_line(axes, shown, f"{name}, paper (n = {paper.n.iloc[0]})", colour)
        parts += [ours.assign(series=metric, source="winnow"), paper.assign(series=metric, source="paper")]
    name_intervals(axes, ends.seed.nunique())
    return parts


def _make_room(axes: Axes) -> None:
    """Show the zero and leave room for the legend above the curves."""
    high = axes.get_ylim()[1]
    axes.set_ylim(-0.02 * high, 1.45 * high)
    axes.legend(loc="upper left")


def fig2c(runs: Regime) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2c: test error over gradient steps, full network against pruned fraction 0.5, sigma_n = 1."""
    series = {0.0: ("full", "full", "full network"), 0.5: ("pruned", "sparsity 0.5", "half pruned")}
    figure, axes = new_figure()
    parts = []
    for fraction, (key, published_name, name) in series.items():
        rows = runs.table[np.isclose(runs.table.fraction, fraction)]
        ours = over_seeds(at_shared_steps(rows), "test_error", "step")
        paper = published("2c", "test_error", published_name)
        parts += [ours.assign(series=key, source="winnow"), paper.assign(series=key, source="paper")]
        line_with_interval(axes, ours, name, COLOURS[key], marker=None)
        published_line(axes, paper, f"{name}, paper (n = {paper.n.iloc[0]})", COLOURS[key])
    axes.set(xlabel="gradient step", ylabel="test error", xscale="symlog", xlim=(0, None))
    axes.legend()
    return pd.concat(parts, ignore_index=True), figure
