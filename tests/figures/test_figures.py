"""What holds for every figure, drawn from made-up runs."""

import importlib
import re
from dataclasses import replace
from typing import get_args

import made_up
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

from winnow import columns
from winnow.analysis.selection import Regime
from winnow.catalogue import EXPERIMENTS, FIGURES, IMAGES, THEORY, known
from winnow.errors import WinnowError
from winnow.figures import style

OF_A_CURVE = ("series", "source", "metric", "panel", "regime", "method", "strength", "experiment")


def draw(name: str, experiments: dict[str, Regime]):
    module, function = FIGURES[name].function(name).split(".")
    return getattr(importlib.import_module(f"winnow.figures.{module}"), function)(*experiments.values())


def texts(figure) -> list[Text]:
    """Everything that is written in a figure."""
    figure.canvas.draw()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    experiments = made_up.experiments(request.param)
    data, figure = draw(request.param, experiments)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # keep the places: a figure that is drawn after it was closed loses them
    return experiments, data, figure


def ours(data: pd.DataFrame) -> pd.DataFrame:
    return data[data.source == "winnow"] if "source" in data else data


def cuts(experiment: str, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Parts of an experiment's runs that a smaller grid would have and the configuration lets through."""
    ((_, asked),) = known([experiment])
    needed = {key: values for key, values in asked.points.items() if key in table}
    ends = table.fraction.isin([*needed.get("fraction", ()), 0, table.fraction.max()])
    found = {"dense": table[table.fraction == 0], "pruned": table[table.fraction > 0], "ends": table[ends]}
    found |= {"one seed": table[table.seed == 0]}
    for key in made_up.AXES.get(experiment, ()):
        found |= {f"{key} {value}": table[table[key] == value] for value in table[key].unique()}
    return {
        what: cut
        for what, cut in found.items()
        if len(cut) and not any(set(values) - set(cut[key]) for key, values in needed.items())
    }


@pytest.mark.parametrize("name", FIGURES)
def test_a_small_grid_is_drawn_or_refused_in_words(name):
    """What is missing is told, and is no traceback."""
    experiments = made_up.experiments(name)
    for experiment, whole in experiments.items():
        for what, cut in cuts(experiment, whole.table).items():
            try:
                draw(name, experiments | {experiment: replace(whole, table=cut)})
            except WinnowError as error:
                assert what != "one seed", error
                assert re.search(f"{experiment}.*(fraction|method|flat_below)", str(error))
            plt.close("all")


@pytest.mark.parametrize("name", FIGURES)
def test_the_kind_that_the_configuration_checks_is_the_one_that_is_read(name):
    module = importlib.import_module(f"winnow.figures.{FIGURES[name].module}")
    kinds = {"images" if asked.kind == IMAGES else "two_layer" for _, asked in known(made_up.experiments(name))}
    assert kinds == set(get_args(module.KIND.model_fields["kind"].annotation))


def test_the_columns_of_the_numbers_are_explained(drawn):
    _, data, _ = drawn
    assert [name for name in data if name not in columns.FIGURE] == []


def test_axes_are_labelled(drawn):
    _, _, figure = drawn
    for axes in figure.axes:
        if axes.get_label() != "<colorbar>":
            assert axes.get_ylabel() or any(other.get_ylabel() for other in axes.get_shared_y_axes().get_siblings(axes))
            assert axes.get_xlabel() or any(other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes))
    assert figure.legends or any(axes.get_legend() for axes in figure.axes)


def test_panels_have_letters(drawn):
    _, _, figure = drawn
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    letters = [axes.get_title(loc="left")[:12] for axes in panels]
    assert len(panels) == 1 or letters == [rf"$\mathbf{{{letter}}}$" for letter in "abcdefghi"[: len(panels)]]


def test_every_point_of_a_curve_lies_in_its_panel(drawn):
    _, _, figure = drawn
    named = [line for axes in figure.axes for line in axes.lines if line.get_label()]
    curves = [line for line in named if "n = " in line.get_label() or line.get_label().endswith("er bound")]
    for line in curves:
        shown = line.get_xydata()[(line.get_ydata() > 0) | (line.axes.get_yscale() != "log")]
        places = line.axes.transAxes.inverted().transform(line.axes.transData.transform(shown))
        assert ((places > -0.001) & (places < 1.001)).all(), (line.axes.get_title("left"), line.get_label())
    assert curves or any(axes.collections or axes.patches for axes in figure.axes)  # points or a histogram instead


def test_text_is_readable_where_the_figure_is_a_page_wide(drawn):
    _, _, figure = drawn
    width = figure.get_size_inches()[0]
    assert width <= style.PAGE_WIDTH
    for text in texts(figure):
        assert text.get_size() >= style.SMALL, text.get_text()


def test_all_text_is_in_the_figure(drawn):
    _, _, figure = drawn
    width, height = figure.canvas.get_width_height()
    hidden = [label for axis in figure.findobj(Axis) for label in axis.get_ticklabels(which="both")]  # some out of view
    for text in set(texts(figure)) - set(hidden):
        box = text.get_window_extent()
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, text.get_text()


@pytest.mark.parametrize("name", [name for name in FIGURES if EXPERIMENTS[FIGURES[name].experiments[0]].kind == THEORY])
def test_no_band_leaves_a_logarithmic_axis(name):
    """One seed of four is far above the others, as one that learns later than they do."""
    experiments = made_up.experiments(name)
    for table in (one.table for one in experiments.values()):
        table.loc[table.seed == 0, ["train_loss", "test_loss", "gamma_least"]] *= 100
        table.loc[table.seed == 0, ["zeta_max", "omega_max", "variance_noise", "loss_on_event"]] *= 100
    _, figure = draw(name, experiments)
    for axes in figure.axes:
        bands = [path.vertices[:, 1] for band in axes.collections for path in band.get_paths()]
        assert axes.get_yscale() != "log" or not any((y <= 0).any() for y in bands if y.any())


def test_every_mean_has_its_interval_its_seeds_and_its_runs(drawn):
    """`audit trace` reads the runs of a point from its column `runs`."""
    experiments, data, _ = drawn
    points = ours(data)
    known = {run for one in experiments.values() for run in one.table.run}
    assert len(points)
    assert {"x", "y", "low", "high", "n", "runs", "series"} <= set(points.columns)
    assert not {"sd_x", "sd_y"} & set(data.columns)  # two meanings of one name, met in a merge
    assert (points.low.isna() | (points.low <= points.y + 1e-12)).all()
    assert (points.high.isna() | (points.y <= points.high + 1e-12)).all()
    if "sd" in points:  # an interval of no width would be certainty
        assert (points.low < points.high)[points.sd > 1e-9].all()
        assert not ((points.low == points.high) & (points.n > 0)).any()
    one_by_one = points.series.str.endswith("of one sign")  # figure 5: one of the made-up seeds
    assert (points.n == np.where(one_by_one, 1, made_up.SEEDS - one_by_one.any())).all()
    for point in points.itertuples():
        fitted = made_up.FITTED.get(getattr(point, "panel", None), (1, 2))
        assert len(point.runs) / point.n in fitted  # a gain over the dense network is made of two runs
        assert len({run.split("seed-")[1] for run in point.runs}) == point.n
        assert set(point.runs) <= known


@pytest.mark.parametrize("name", FIGURES)
def test_a_number_of_seeds_that_varies_is_written_beside_the_curve(name):
    without = {
        key: replace(one, table=one.table[(one.table.seed != 0) | (one.table.fraction < 0.4)])
        for key, one in made_up.experiments(name).items()
    }
    data, figure = draw(name, without)
    points = ours(data)
    points = points[~points.series.str.endswith("of one sign")]
    written = " ".join(text.get_text() for text in texts(figure))
    assert points.n.min() == made_up.SEEDS - 1
    for _, curve in points.groupby([key for key in OF_A_CURVE if key in points]):
        low, high = curve.n.min(), curve.n.max()
        assert low == high or f"n = {low} to {high}" in written
