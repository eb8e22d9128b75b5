"""The house style: sizes, colours, and files that are byte-identical whenever the numbers are."""

import os
from collections.abc import Iterable
from pathlib import Path
from string import ascii_lowercase

# Figures depend on the configuration and the code alone. A notebook sets a backend that only its own kernel has.
os.environ.pop("MPLBACKEND", None)

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import scale
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.scale import LogTransform, SymmetricalLogTransform

from ..files import atomic

# Of fonts, those that come with matplotlib: others of their names may be installed, as Arial or another DejaVu Sans.
BUNDLED = matplotlib.get_data_path()
fontManager.ttflist = [font for font in fontManager.ttflist if Path(font.fname).is_relative_to(BUNDLED)]


class _Log(LogTransform):
    def transform_non_affine(self, values):
        return np.round(super().transform_non_affine(values), PLACES)


class _SymmetricalLog(SymmetricalLogTransform):
    def transform_non_affine(self, values):
        return np.round(super().transform_non_affine(values), PLACES)


# The last bit of a logarithm is the processor's, and where a tick lies between two pixels it would decide for one.
PLACES = 9  # of a decade
scale.LogTransform, scale.SymmetricalLogTransform = _Log, _SymmetricalLog

COLUMN_WIDTH = 3.5  # inches, one column of a two-column page
PAGE_WIDTH = 6.69  # inches: 170 mm, both columns; figures are printed at the size they are drawn, so text is as well
SMALL = 7  # points, the smallest text
TEXT = {"font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "legend.title_fontsize": SMALL}
TEXT |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL)
PALETTE = [  # seaborn's colorblind, with its pale pink and yellow darkened: they vanished on white
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#8c5a2b", "#a3197f", "#949494", "#a39b00", "#56b4e9")
]
MARKERS = "osD^v<>Ph*X"
GUIDE = {"color": "0.35", "linewidth": 0.9, "linestyle": ":"}
BARS = {"elinewidth": 0.7, "capsize": 2, "capthick": 0.7}  # the paper's have caps, ours are bands
NO_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def new_figure(columns: int = 1, rows: int = 1, aspect: float = 0.75, **options) -> tuple[Figure, Axes]:
    """A figure in the house style: one panel as wide as a column, several side by side as wide as a page."""
    matplotlib.rcdefaults()  # a user's matplotlibrc may set what seaborn's theme leaves alone
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, font="DejaVu Sans")
    plt.rcParams.update({"svg.hashsalt": "winnow", "figure.constrained_layout.use": True, "savefig.dpi": 300})
    plt.rcParams["pdf.fonttype"] = 42  # TrueType: publishers refuse Type 3
    plt.rcParams.update(TEXT | {"legend.frameon": False, "legend.handlelength": 2.2, "legend.labelspacing": 0.3})
    width = COLUMN_WIDTH if columns == 1 else PAGE_WIDTH
    return plt.subplots(rows, columns, figsize=(width, rows * width / columns * aspect), **options)


def curve_marker(number: int) -> str:
    """The marker of a figure's curve number 0, 1, …; like colours they come again."""
    return MARKERS[number % len(MARKERS)]


def letter_panels(panels: Iterable[Axes]) -> None:
    """Put a, b, … before the left titles of panels."""
    for letter, axes in zip(ascii_lowercase, panels, strict=False):
        axes.set_title(rf"$\mathbf{{{letter}}}$  {axes.get_title(loc='left')}".rstrip(), loc="left")


def legend_below(axes: Axes, **options) -> None:
    """A legend under the axis label, where it hides no curve."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.6, **options)


def published_line(axes: Axes, data: pd.DataFrame, label: str, colour: str) -> None:
    """Draw a published curve: dashed, hollow diamonds above our curves where its points are few, its error bars."""
    marker = {"marker": "D", "markersize": 4.5, "markerfacecolor": "none"} if len(data) < 30 else {}
    style = {"linestyle": (0, (4, 2)), "linewidth": 0.9, "zorder": 4}
    axes.plot(data["x"], data["y"], color=colour, alpha=0.75, label=label, **style, **marker)
    bars = data.dropna(subset=["bar_low", "bar_high"])
    ends = [bars.y - bars.bar_low, bars.bar_high - bars.y]
    axes.errorbar(bars.x, bars.y, ends, color=colour, linestyle="none", alpha=0.6, **BARS)


def name_intervals(axes: Axes, seeds: int) -> None:
    """Say in the legend what our bands, which one seed lacks, and the paper's bars are: not the same, at one size."""
    if seeds > 1:
        axes.fill_between([], [], color="0.35", alpha=0.22, linewidth=0, label="band: 95 % interval of our mean")
    nowhere = 3 * [[float("nan")]]
    axes.errorbar(*nowhere, color="0.35", linestyle="none", label="bar: s.d. of the paper's runs, most likely", **BARS)


def save(figure: Figure, paths: dict[str, str | Path]) -> None:
    """Write a figure to its svg, pdf and png path, without dates or versions inside."""
    sns.despine(figure)
    for suffix, path in paths.items():
        with atomic(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=NO_DATES[suffix])
        # Panels stay where the first file has them: finding the places takes seconds, and with an engine, even one that
        # places nothing, matplotlib draws every file twice.
        with plt.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
    plt.close(figure)
