from dataclasses import replace

import made_up
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.legend import Legend

from winnow.analysis.selection import Regime
from winnow.catalogue import FIGURES
from winnow.errors import WinnowError
from winnow.figures import real
from winnow.paper.published import published


def test_fig3a_shows_accuracies_in_percent_and_the_paper_only_over_the_whole_of_mnist():
    data, _ = real.fig3a(made_up.images("fig3a"))
    ours = data[(data.series == "imp") & (data.metric == "test_accuracy")].set_index("x")
    assert ours.y[0.9] == pytest.approx(100 - 9 - 0.15)
    assert set(data.source) == {"winnow"}
    data, figure = real.fig3a(made_up.images("fig3a", "mnist"))
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == 17
    assert paper.y.iloc[0] == pytest.approx(98.2666)
    assert "random, paper (n = 3)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_fig3a_shows_what_the_paper_gains_over_its_dense_network():
    data, _ = real.fig3a(made_up.images("fig3a", "mnist"))
    levels = published("3a", "test_accuracy", "random")
    gained = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_gain")]
    assert gained.y.to_numpy() == pytest.approx(levels.y[1:] - levels.y[0])
    data, _ = real.fig3a(made_up.images("fig3a"))
    assert set(data.source) == {"winnow"}


def cut(one: Regime, rows) -> Regime:
    """Some rows of an experiment, as a copy."""
    return replace(one, table=one.table[rows].copy())


def test_fig3a_shows_the_methods_that_were_run():
    runs = made_up.images("fig3a")
    data, figure = real.fig3a(cut(runs, runs.table.method == "bernoulli"))
    assert set(data.series) == {"random"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["random (n = 4)"]
    with pytest.raises(WinnowError, match=r"^fig3a: method shuffled_imp; the figure shows bernoulli or imp$"):
        real.fig3a(cut(runs, runs.table.method == "shuffled_imp"))


@pytest.mark.parametrize("name", ["methods", "noisy", "vgg-widths"])
def test_figures_of_gains_alone_need_a_pruned_network(name):
    (runs,) = made_up.experiments(name).values()
    with pytest.raises(WinnowError, match=f"^{name}: fractions 0; the figure needs one that is pruned as well$"):
        getattr(real, name.replace("-", "_"))(cut(runs, runs.table.fraction == 0))


def test_neither_axis_nor_interval_shows_accuracies_that_there_are_not():
    """Two seeds of 100 and 90 % have a t interval up to 158 %."""
    runs = made_up.images("fig3a")
    runs = cut(runs, runs.table.seed < 2)
    runs.table["test_error"] = 0.1 * runs.table.seed
    data, figure = real.fig3a(runs)
    assert data[data.metric == "test_accuracy"].high.max() == 100
    assert max(axes.get_ylim()[1] for axes in figure.axes if axes.get_ylabel() == "test accuracy (%)") <= 101


NETWORKS_OF_CIFAR10 = [
    ("fig3b", 17, 93.5945),
    ("fig3b-narrow", 17, 93.5945),
    ("fig4", 10, None),
    ("fig4-narrow", 10, None),
]


@pytest.mark.parametrize(("name", "points", "dense"), NETWORKS_OF_CIFAR10)
def test_figures_of_cifar10_show_the_paper_only_over_the_whole_of_it(name, points, dense):
    draw = getattr(real, name.replace("-", "_"))
    part, _ = draw(made_up.images(name, "cifar10-part"))
    assert set(part.source) == {"winnow"}
    data, figure = draw(made_up.images(name, "cifar10"))
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == points
    assert dense is None or paper.y.iloc[0] == pytest.approx(dense)
    labels = [text.get_text() for text in figure.legends[0].get_texts() if ", paper" in text.get_text()]
    assert len(labels) == 2
    assert all(("width" in label) == name.endswith("-narrow") for label in labels)  # says whose curves these are


def test_methods_show_what_their_masks_disconnect():
    tables = made_up.experiments("methods")
    table = tables["methods"].table
    empty = (table.method == "snip") & (table.fraction == 0.9) & (table.seed < 3)
    table.loc[empty, "collapsed_layers"], table.loc[empty, "connected_share"] = 1, 0.0
    data, figure = real.methods(*tables.values())
    paths = data[data.metric == "connected_share"].set_index(["method", "x"])
    assert paths.y[("erk", 0.36)] == pytest.approx(1 - 0.36**4 - 0.0015)
    assert paths.collapsed.to_dict() == {("erk", 0.36): 0, ("erk", 0.9): 0, ("snip", 0.36): 0, ("snip", 0.9): 3}
    assert [text.get_text() for text in figure.axes[1].texts] == ["3"]


def test_gains_are_paired_with_the_dense_network():
    data, _ = real.methods(*made_up.experiments("methods").values())
    point = data[data.metric == "test_gain"].set_index(["method", "x"]).loc[("snip", 0.36)]
    assert point.y == pytest.approx(-3.6)
    assert point.runs[:2] == [f"results/methods/runs/method-snip/fraction-{f}/seed-0.parquet" for f in (0.0, 0.36)]
    data, _ = real.fig3a(*made_up.experiments("fig3a").values())
    gains = data[(data.metric == "test_gain") & (data.series == "imp")]
    assert gains.set_index("x").y[0.9] == pytest.approx(-9)
    data, figure = real.noisy(*made_up.experiments("noisy").values())
    assert data[data.x == 0.9].y.to_list() == pytest.approx([-9, -9])
    assert data.dense.unique() == pytest.approx([99.85, 94.85])
    assert len(figure.axes[0].get_legend().get_texts()) == 2
    data, figure = real.vgg_widths(*made_up.experiments("vgg-widths").values())
    assert data[data.fraction == 0.9].set_index("x").y.to_dict() == pytest.approx({8: -9, 16: -9})
    dense = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert dense == ["8\n(99.8 %)", "16\n(99.8 %)"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "0.36 pruned (n = 4)",
        "0.9 pruned (n = 4)",
    ]


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:Precision loss occurred")
@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if figure.module == "real"])
@pytest.mark.parametrize(("fraction", "seeds"), [(0.36, [2]), (0, [0, 1]), (0.9, range(4)), (0, range(4))])
def test_diverged_runs_are_in_no_mean_and_are_counted(name, fraction, seeds):
    """Their last finite evaluation would look like any other; of a gain, either run may be the one that diverged."""
    draw, tables = getattr(real, name.replace("-", "_")), made_up.experiments(name)
    whole, _ = draw(*tables.values())
    for table in (one.table for one in tables.values()):
        table.loc[(table.fraction == fraction) & table.seed.isin(seeds), "status"] = "diverged"
    data, figure = draw(*tables.values())
    fractions = data.fraction if "fraction" in data else data.x
    of_pairs = data.metric.str.endswith("gain") if "metric" in data else fractions > 0
    hit = np.isclose(fractions, fraction) | (of_pairs & (fraction == 0))
    assert (data.diverged[hit] == len(seeds)).all() and (data.diverged[~hit] == 0).all()
    assert (data.n + data.diverged == 4).all()
    assert data.y[~hit].to_numpy() == pytest.approx(whole.y[~hit].to_numpy())
    assert data.y.isna().to_list() == (data.n == 0).to_list()
    written = [
        text.get_text() for legend in figure.findobj(Legend) for text in [legend.get_title(), *legend.get_texts()]
    ]
    assert any(f"\u2264 {len(seeds)} diverged" in text for text in written)


def test_a_marker_is_filled_where_its_bar_excludes_zero():
    """One test for both: gains of snip are the same for all seeds, those of erk scatter about 0."""
    tables = made_up.experiments("methods")
    table = tables["methods"].table
    table.loc[(table.method == "erk") & (table.fraction > 0), "test_error"] = 0.01 * (table.seed % 2)
    data, figure = real.methods(*tables.values())
    markers = [found for found in figure.axes[0].collections if isinstance(found, PathCollection)]
    hollow = sum(len(found.get_offsets()) for found in markers if (found.get_facecolor() == 1).all())
    contains = (data.metric == "test_gain") & (data.low <= 0) & (data.high >= 0)
    assert hollow == contains.sum() == 2
    assert set(data.method[contains]) == {"erk"}
