"""What the theorem's own sigma_0 changes: who wins, and what is left of Theorem 3's bounds."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..judge.selection import Regime
from ..judge.theorems import over_bounds
from ..two_layer.settings import TwoLayerSettings
from . import LITERAL, matching
from .curves import PRUNED, line_with_interval, over_seeds
from .style import GUIDE, legend_below, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that this figure shows
BOUNDS = {"noise": r"max($\zeta$, $-\omega$) / its bound", "cross": r"max $-\gamma_{jk}$ / its bound"}


def literal(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Test error, and the noise and the other classes' signals learned over Theorem 3's bounds, by fraction."""
    regimes = [Regime(name, tables[name], tables[name].attrs["settings"]) for name in matching(LITERAL, tables)]
    figure, grid = new_figure(3, 1, aspect=1.1)
    parts = [_curves(grid[0], regimes, "test error", {r.name: r.mild_ends().test_error for r in regimes})]
    for number, (panel, label) in enumerate(BOUNDS.items()):
        values = {r.name: over_bounds(r, r.mild_ends())[number] for r in regimes}
        parts.append(_curves(grid[1 + number], regimes, panel, values))
        grid[1 + number].set(ylabel=label, yscale="log")
        grid[1 + number].axhline(1, **GUIDE)
    grid[0].set(ylabel="test error")
    letter_panels(grid)
    return pd.concat(parts, ignore_index=True), figure


def _curves(axes: Axes, regimes: list[Regime], panel: str, values: dict[str, pd.Series]) -> pd.DataFrame:
    parts = []
    for number, one in enumerate(regimes):
        part = over_seeds(one.mild_ends().assign(y=values[one.name]), "y").assign(series=one.name, panel=panel)
        line_with_interval(axes, part, one.name, f"C{number}", "osD^v<>"[number])
        parts.append(part)
    axes.set(xlabel=PRUNED)
    legend_below(axes)
    return pd.concat(parts)
