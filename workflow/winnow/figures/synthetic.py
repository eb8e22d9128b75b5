"""Figures 2 and 5: the synthetic experiments, ours over what the paper shows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..config.base import canonical
from ..judge.stats import mean_interval
from ..paper.published import published
from ..two_layer.settings import TwoLayerSettings
from .style import line_with_interval, new_figure, published_line

KIND = TwoLayerSettings  # of the experiments that these figures show
PRUNED = "pruned fraction"
COLOURS = {"train": "C0", "test": "C1", "full": "C0", "pruned": "C1"}


def over_seeds(table: pd.DataFrame, metric: str, x: str) -> pd.DataFrame:
    """Mean of a metric over seeds at every x, with its interval and the number of seeds: columns x, y, low, high, n.

    Column `runs` names the folder of the runs that a point summarizes.
    """
    wide = table.pivot(index="seed", columns=x, values=metric).dropna()
    low, high = mean_interval(wide.to_numpy())
    points = pd.DataFrame({"x": wide.columns, "y": wide.mean().to_numpy(), "low": low, "high": high, "n": len(wide)})
    first = table.assign(at=table[x]).groupby("at").first().loc[wide.columns]
    folders = [
        f"results/{e}/runs/fraction-{canonical(f)}" for e, f in zip(first.experiment, first.fraction, strict=True)
    ]
    return points.assign(runs=folders)


def _curves(table: pd.DataFrame, figure: str, metrics: list[str]) -> pd.DataFrame:
    """Ours and the paper's curves of some metrics over the pruned fraction, as one long table."""
    ours = [over_seeds(table, metric, "fraction").assign(series=metric, source="winnow") for metric in metrics]
    paper = [published(figure, metric).assign(series=metric, source="paper") for metric in metrics]
    return pd.concat([*ours, *paper], ignore_index=True)


def _draw_curves(axes: Axes, data: pd.DataFrame, names: dict[str, str], unit: str) -> None:
    for series, name in names.items():
        colour = COLOURS[name.split()[0]]
        rows = data[data.series == series]
        ours, paper = rows[rows.source == "winnow"], rows[rows.source == "paper"]
        line_with_interval(axes, ours, f"{name} (n = {ours.n.iloc[0]})", colour)
        if len(paper):
            published_line(axes, paper, f"{name}, paper (n = {paper.n.iloc[0]}; bars: s.d.)", colour)
    axes.set(xlabel=PRUNED, ylabel=unit, xlim=(-0.03, 0.93))
    top = 1.2 * axes.get_ylim()[1]  # room for the legend
    axes.set_ylim(min(0, axes.get_ylim()[0]) if unit.startswith("loss") else -0.01, top)
    axes.legend(frameon=False, fontsize="x-small", loc="upper left")


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
    last = table.groupby(["fraction", "seed"]).tail(1)
    data = _curves(last, number, list(names))
    figure, axes = new_figure()
    _draw_curves(axes, data, names, unit)
    return data, figure


def fig2c(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Fig. 2c: test error over gradient steps, full network against pruned fraction 0.5, sigma_n = 1."""
    table = tables["fig2c"]
    series = {0.0: ("full", "full", "full network"), 0.5: ("pruned", "sparsity 0.5", "half pruned")}
    figure, axes = new_figure()
    parts = []
    for fraction, (key, published_name, name) in series.items():
        ours = over_seeds(table[np.isclose(table.fraction, fraction)], "test_error", "step")
        paper = published("2c", "test_error", published_name)
        parts += [ours.assign(series=key, source="winnow"), paper.assign(series=key, source="paper")]
        line_with_interval(axes, ours, f"{name} (n = {ours.n.iloc[0]})", COLOURS[key], marker=None)
        published_line(axes, paper, f"{name}, paper (n = {paper.n.iloc[0]})", COLOURS[key])
    axes.set(xlabel="gradient step", ylabel="test error", xscale="symlog", xlim=(0, None), ylim=(0.15, 0.55))
    axes.legend(frameon=False, fontsize="x-small")
    return pd.concat(parts, ignore_index=True), figure
