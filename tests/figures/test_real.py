import made_up
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.legend import Legend

from winnow.errors import WinnowError
from winnow.figures import FIGURES, real
from winnow.paper.published import published


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


def test_the_variants_of_random_pruning_have_their_distances_from_the_published_curve():
    names = FIGURES["fig3a-variants"].experiments
    few, figure = real.fig3a_variants({name: made_up.images(name) for name in names})
    assert "distance" not in few and set(few.source) == {"winnow"} and len(figure.axes) == 1
    paper = published("3a", "test_accuracy", "random")
    tables = {name: made_up.images(name, "mnist", tuple(paper.x)) for name in names}
    dense = tables["fig3a-dense-output"]
    shuffled = (dense.method == "shuffled_imp") & (dense.epoch == 9)
    values = dict(zip(paper.x, 1 - paper.y / 100, strict=True))
    dense.loc[shuffled, "test_error"] = dense[shuffled].fraction.map(values) + 0.001  # a tenth of a point below it
    data, figure = real.fig3a_variants(tables)
    far = data[data.source == "winnow"].groupby(["metric", "series"])[["distance", "further", "further_low"]].first()
    ours = (100 - 10 * paper.x - 0.15)[1:]
    assert far.distance["test_accuracy", "random"] == pytest.approx(np.sqrt(((ours - paper.y[1:]) ** 2).mean()))
    gain = (-10 * paper.x - (paper.y - paper.y[0]))[1:]
    assert far.distance["test_gain", "random"] == pytest.approx(np.sqrt((gain**2).mean()))
    nearest = "random, IMP's layer sizes, dense output"
    assert far.distance["test_accuracy", nearest] == pytest.approx(0.1)
    assert far.distance["test_gain", nearest] == pytest.approx(0, abs=1e-9)  # all of it is in the dense network too
    assert (far.further.groupby("metric").idxmin() == [("test_accuracy", nearest), ("test_gain", nearest)]).all()
    assert (far[far.index.get_level_values("series") != nearest].further_low > 0).all()
    assert f"{nearest} (n = 4): 0.10, 0.00" in [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    line = next(line for line in figure.axes[1].get_lines() if line.get_color() == "C3")
    assert line.get_ydata() == pytest.approx(np.full(17, -0.1))


def test_fig3a_shows_the_methods_that_were_run():
    table = made_up.images("fig3a")
    data, figure = real.fig3a({"fig3a": table[table.method == "bernoulli"]})
    assert set(data.series) == {"random"}
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["random (n = 4)"]
    with pytest.raises(WinnowError, match=r"^fig3a: needs runs of one of the methods bernoulli, imp$"):
        real.fig3a({"fig3a": table[table.method == "shuffled_imp"]})


@pytest.mark.parametrize("name", ["fig3a", "methods", "noisy"])
def test_gains_need_a_pruned_network(name):
    tables = made_up.tables(name)
    with pytest.raises(WinnowError, match=f"^{name}: fractions 0; needs one more, to compare with dense networks$"):
        getattr(real, name)({name: tables[name][tables[name].fraction == 0]})


def test_no_axis_shows_accuracies_that_there_are_not():
    """Two seeds of 100 and 90 % have a t interval up to 158 %, which stands in the data."""
    table = made_up.images("fig3a")
    table = table[table.seed < 2].assign(test_error=lambda rows: 0.1 * rows.seed)
    data, figure = real.fig3a({"fig3a": table})
    assert data[data.metric == "test_accuracy"].high.max() > 150
    assert max(axes.get_ylim()[1] for axes in figure.axes if axes.get_ylabel() == "test accuracy (%)") <= 101


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


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:Precision loss occurred")
@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if figure.module == "real"])
@pytest.mark.parametrize(("fraction", "seeds"), [(0.36, [2]), (0, [0, 1]), (0.9, range(4)), (0, range(4))])
def test_diverged_runs_are_in_no_mean_and_are_counted(name, fraction, seeds):
    """Their last finite evaluation would look like any other; of a gain, either run may be the one that diverged."""
    draw, tables = getattr(real, name.replace("-", "_")), made_up.tables(name)
    whole, _ = draw(tables)
    for table in tables.values():
        table.loc[(table.fraction == fraction) & table.seed.isin(seeds), "status"] = "diverged"
    data, figure = draw(tables)
    of_pairs = data.metric.str.endswith("gain") if "metric" in data else data.x > 0
    hit = np.isclose(data.x, fraction) | (of_pairs & (fraction == 0))
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
    tables = made_up.tables("methods")
    table = tables["methods"]
    table.loc[(table.method == "erk") & (table.fraction > 0), "test_error"] = 0.01 * (table.seed % 2)
    data, figure = real.methods(tables)
    markers = [found for found in figure.axes[0].collections if isinstance(found, PathCollection)]
    hollow = sum(len(found.get_offsets()) for found in markers if (found.get_facecolor() == 1).all())
    contains = (data.low <= 0) & (data.high >= 0)
    assert hollow == contains.sum() == 2
    assert set(data.method[contains]) == {"erk"}
