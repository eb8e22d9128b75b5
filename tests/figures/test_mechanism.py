import math

import made_up
import pytest

from winnow.errors import WinnowError
from winnow.figures import mechanism


def test_features_pool_all_neurons_of_all_seeds():
    data, _ = mechanism.features(made_up.tables("features"))
    assert set(data.series) == {"dense, 0 pruned", "mild, 0.5 pruned", "over, 0.99 pruned"}
    assert (data.neurons == 2 * made_up.SEEDS).all()
    shares = data.groupby(["strength", "series"]).share.sum()
    assert shares.to_numpy() == pytest.approx(1)
    means = data[data.strength == "signal_strength"].groupby("series").y.first()
    assert means["dense, 0 pruned"] == pytest.approx((0.1 + 0.2) / 2)


def test_the_width_exponent_is_that_of_the_runs():
    tables = made_up.tables("decomposition")
    table = tables["width_mild"]
    table["gamma_least"] = table.width ** (-0.4 - table.seed / 1000)
    data, figure = mechanism.decomposition(tables)
    labels = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert sum("exponent -0.40 [-0.40, -0.40]" in label for label in labels) >= 1
    assert data[data.panel == "width"].y.max() == pytest.approx(50**-0.4, rel=0.01)


def test_points_of_few_seeds_are_named():
    tables = made_up.tables("lemmas")
    table = tables["boundary"]
    table.loc[(table.fraction == 0.99) & (table.seed > 0), ["signal_start_low", "signal_start_high"]] = math.nan
    _, figure = mechanism.lemmas(tables)
    assert [text.get_text() for text in figure.axes[1].texts] == ["n = 1", "n = 1"]
    assert not list(figure.axes[0].texts)


def test_chance_is_drawn():
    _, figure = mechanism.causes(made_up.tables("causes"))
    levels = [line.get_ydata() for axes in figure.axes for line in axes.lines if len(line.get_ydata())]
    assert sum(len(set(y)) == 1 and math.isclose(y[0], 0.75) for y in levels) == 2


def test_what_no_run_of_the_mild_range_shows_is_told():
    tables = made_up.tables("decomposition")
    tables["width_mild"].train_loss = 1.0
    with pytest.raises(WinnowError, match=r"^width_mild: at no fraction of .* a run reach train loss 0\.01$"):
        mechanism.decomposition(tables)
    table = made_up.tables("features")["boundary"]
    cut = table[table.fraction.isin([0, 0.99])].copy()
    cut.attrs = table.attrs
    with pytest.raises(
        WinnowError, match=r"^boundary, init_std 0\.1: fractions 0, 0\.99; needs a pruned one of density"
    ):
        mechanism.features({"boundary": cut})
