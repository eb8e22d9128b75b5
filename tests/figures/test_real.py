import made_up
import pytest
from matplotlib.collections import PathCollection

from winnow.figures import real


def test_fig3a_shows_accuracies_in_percent_and_the_paper_only_over_the_whole_of_mnist():
    data, _ = real.fig3a({"fig3a": made_up.images("fig3a")})
    ours = data[(data.series == "imp") & (data.metric == "test_accuracy")].set_index("x")
    assert ours.y[0.9] == pytest.approx(100 - 9 - 0.15)
    assert set(data.source) == {"winnow"}
    data, figure = real.fig3a({"fig3a": made_up.images("fig3a", "mnist")})
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == 17
    assert paper.y.iloc[0] == pytest.approx(98.2666)
    assert "random, paper (n = 3)" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize(("name", "points", "dense"), [("fig3b", 17, 93.5945), ("fig4", 10, None)])
def test_figures_of_cifar10_show_the_paper_only_over_the_whole_of_it(name, points, dense):
    part, _ = getattr(real, name)({name: made_up.images(name, "cifar10-part")})
    assert set(part.source) == {"winnow"}
    data, _ = getattr(real, name)({name: made_up.images(name, "cifar10")})
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == points
    assert dense is None or paper.y.iloc[0] == pytest.approx(dense)


def test_gains_are_paired_with_the_dense_network():
    data, _ = real.methods(made_up.tables("methods"))
    point = data.set_index(["method", "x"]).loc[("snip", 0.36)]
    assert point.y == pytest.approx(-3.6)
    assert point.runs[:2] == [f"results/methods/runs/method-snip/fraction-{f}/seed-0.parquet" for f in (0.0, 0.36)]
    data, _ = real.fig3a(made_up.tables("fig3a"))
    gains = data[(data.metric == "test_gain") & (data.series == "imp")]
    assert gains.set_index("x").y[0.9] == pytest.approx(-9)
    data, figure = real.noisy(made_up.tables("noisy"))
    assert data[data.x == 0.9].y.to_list() == pytest.approx([-9, -9])
    assert data.dense.unique() == pytest.approx([99.85, 94.85])
    assert len(figure.axes[0].get_legend().get_texts()) == 2


def test_a_marker_is_filled_where_its_bar_excludes_zero():
    """One test for both: gains of snip are the same for all seeds, those of erk scatter about 0."""
    tables = made_up.tables("methods")
    table = tables["methods"]
    table.loc[(table.method == "erk") & (table.fraction > 0), "test_error"] = 0.01 * (table.seed % 2)
    data, figure = real.methods(tables)
    markers = [found for found in figure.axes[0].collections if isinstance(found, PathCollection)]
    hollow = sum(len(found.get_offsets()) for found in markers if (found.get_facecolor() == 1).all())
    contains = (data.low <= 0) & (data.high >= 0)
    assert hollow == contains.sum() == 2
    assert set(data.method[contains]) == {"erk"}
