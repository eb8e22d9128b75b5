"""What the theorem's own sigma_0 changes: who wins, and what is left of Theorem 3's bounds."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..analysis.selection import Regime, over_bounds
from ..two_layer.settings import TwoLayerSettings
from . import LITERAL
from .curves import density_axis, line_with_interval, over_density, over_seeds
from .regimes import all_regimes
from .style import GUIDE, curve_marker, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that this figure shows
LABELS = ("test error", r"max($\zeta$, $-\omega$) / its bound", r"max $-\gamma_{jk}$ / its bound")
POINTS = ["y", "low", "high"]


def literal(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Figure]:
    """Test error, and the noise and the other classes' signals learned over Theorem 3's bounds, by fraction."""
    regimes = [one for name, axis in LITERAL.items() for one in all_regimes(tables, name, axis)]
    figure, panels = new_figure(3, 1, aspect=0.9)
    parts = []
    for number, (axes, label) in enumerate(zip(panels, LABELS, strict=True)):
        for index, one in enumerate(regimes):
            part = _curve(one, number).assign(series=one.name, panel=label)
            line_with_interval(axes, over_density(part), one.name, f"C{index}", curve_marker(index))
            parts.append(part)
        density_axis(axes, regimes[0].mild_ends().fraction.unique())
        axes.set_ylabel(label)
    for axes in panels[1:]:
        axes.set_yscale("log")
        axes.axhline(1, **GUIDE)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    letter_panels(panels)
    return pd.concat(parts, ignore_index=True), figure


def _curve(found: Regime, number: int) -> pd.DataFrame:
    """The test error, or one of the coefficients over its bound: a geometric mean, for they span decades."""
    rows = found.mild_ends()
    if number == 0:
        return over_seeds(rows, "test_error")
    ratio = over_bounds(found, rows)[number - 1]
    points = over_seeds(rows.assign(y=np.log(ratio.where(ratio > 0))), "y")
    return points.assign(**np.exp(points[POINTS]))
