"""What the theorem's own sigma_0 changes: who wins, and what is left of Theorem 3's bounds."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..analysis.selection import Regime, over_bounds
from ..two_layer.settings import TwoLayerSettings
from .curves import density_axis, draw_curves, over_seeds
from .style import GUIDE, letter_panels, new_figure

KIND = TwoLayerSettings  # of the experiments that this figure shows
LABELS = ("test error", r"max($\zeta$, $-\omega$) / its bound", r"max $-\gamma_{jk}$ / its bound")
POINTS = ["y", "low", "high"]


def literal(*experiments: Regime) -> tuple[pd.DataFrame, Figure]:
    """Test error, and the noise and the other classes' signals learned over Theorem 3's bounds, by fraction."""
    regimes = [one for experiment in experiments for one in experiment.at_each(experiment.swept)]
    figure, panels = new_figure(3, 1, aspect=0.9)
    parts = []
    for number, (axes, label) in enumerate(zip(panels, LABELS, strict=True)):
        parts.append(
            draw_curves(axes, ((one.name, one.name, _curve(one, number)) for one in regimes)).assign(panel=label)
        )
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
