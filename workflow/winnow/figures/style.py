"""The house style: sizes, colours, and files that are byte-identical whenever the numbers are."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import atomic

COLUMN_WIDTH = 3.5  # inches, one column of a two-column page
NO_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}


def new_figure(columns: int = 1, rows: int = 1, aspect: float = 0.75, **options) -> tuple[Figure, Axes]:
    """A figure of panels, each one column wide, in the house style."""
    sns.set_theme(context="paper", style="ticks", palette="colorblind", font_scale=0.95)
    plt.rcParams.update({"svg.hashsalt": "winnow", "figure.constrained_layout.use": True, "savefig.dpi": 300})
    size = (columns * COLUMN_WIDTH, rows * COLUMN_WIDTH * aspect)
    return plt.subplots(rows, columns, figsize=size, **options)


def line_with_interval(axes: Axes, data: pd.DataFrame, label: str, colour: str, marker: str | None = "o") -> None:
    """Draw columns x, y and the interval low..high."""
    axes.plot(data["x"], data["y"], color=colour, marker=marker, markersize=3.5, linewidth=1.3, label=label)
    axes.fill_between(data["x"], data["low"], data["high"], color=colour, alpha=0.22, linewidth=0)


def published_line(axes: Axes, data: pd.DataFrame, label: str, colour: str) -> None:
    """Draw a published curve faintly, with its error bars where it has any."""
    axes.plot(data["x"], data["y"], color=colour, linestyle=(0, (4, 2)), linewidth=0.9, alpha=0.6, label=label)
    bars = data.dropna(subset=["low", "high"])
    axes.vlines(bars["x"], bars["low"], bars["high"], color=colour, linewidth=0.7, alpha=0.35)


def save(figure: Figure, paths: dict[str, str | Path]) -> None:
    """Write a figure to its svg, pdf and png path, without dates or versions inside."""
    sns.despine(figure)
    for suffix, path in paths.items():
        with atomic(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=NO_DATES[suffix])
    plt.close(figure)
