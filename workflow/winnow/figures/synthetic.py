"""Figures 2 and 5: the synthetic experiments, ours over what the paper shows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..judge.selection import last
from ..paper.published import published
from ..two_layer.settings import TwoLayerSettings
from .curves import PRUNED, at_shared_steps, line_with_interval, over_seeds
from .style import name_intervals, new_figure, published_line

KIND = TwoLayerSettings  # of the experiments that these figures show
COLOURS = {"train": "C0", "test": "C1", "full": "C0", "pruned": "C1"}


def fig2a(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2a: train and test error after training, sigma_n = 0.5."""
    return _by_fraction(tables["fig2a"], "2a", {"train_error": "train error", "test_error": "test error"}, "error")


def fig2b(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2b: test error after training, sigma_n = 1."""
    return _by_fraction(tables["fig2b"], "2b", {"test_error": "test error"}, "error")


def fig5a(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 5a: train and test error after training, four hidden neurons, sigma_n = 1.5."""
    return _by_fraction(tables["fig5"], "5a", {"train_error": "train error", "test_error": "test error"}, "error")


def fig5b(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 5b: train and test loss after training, four hidden neurons, sigma_n = 1.5."""
    return _by_fraction(tables["fig5"], "5b", {"train_loss": "train loss", "test_loss": "test loss"}, "loss (nats)")


def _by_fraction(table: pd.DataFrame, number: str, names: dict[str, str], unit: str) -> tuple[pd.DataFrame, Figure]:
    """Ours and the paper's curves of some metrics over the pruned fraction."""
    ends = last(table)
    figure, axes = new_figure()
    parts = []
    for metric, name in names.items():
        colour = COLOURS[name.split()[0]]
        ours, paper = over_seeds(ends, metric), published(number, metric)
        line_with_interval(axes, ours, name, colour)
        published_line(axes, paper, f"{name}, paper (n = {paper.n.iloc[0]})", colour)
        parts += [ours.assign(series=metric, source="winnow"), paper.assign(series=metric, source="paper")]
    name_intervals(axes)
    axes.set(xlabel=PRUNED, ylabel=unit, xlim=(-0.03, 0.93))
    _make_room(axes, unit)
    return pd.concat(parts, ignore_index=True), figure


def _make_room(axes: Axes, unit: str) -> None:
    """Show the zero and leave room for the legend above the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(0, low) if unit.startswith("loss") else -0.02 * high, 1.45 * high)
    axes.legend(loc="upper left")


def fig2c(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2c: test error over gradient steps, full network against pruned fraction 0.5, sigma_n = 1."""
    table = tables["fig2c"]
    series = {0.0: ("full", "full", "full network"), 0.5: ("pruned", "sparsity 0.5", "half pruned")}
    figure, axes = new_figure()
    parts = []
    for fraction, (key, published_name, name) in series.items():
        runs = table[np.isclose(table.fraction, fraction)]
        ours = over_seeds(at_shared_steps(runs), "test_error", "step")
        paper = published("2c", "test_error", published_name)
        parts += [ours.assign(series=key, source="winnow"), paper.assign(series=key, source="paper")]
        line_with_interval(axes, ours, name, COLOURS[key], marker=None)
        published_line(axes, paper, f"{name}, paper (n = {paper.n.iloc[0]})", COLOURS[key])
    axes.set(xlabel="gradient step", ylabel="test error", xscale="symlog", xlim=(0, None), ylim=(0.15, 0.55))
    axes.legend()
    return pd.concat(parts, ignore_index=True), figure
