import math
from dataclasses import replace

import made_up
import numpy as np
import pytest

from winnow.errors import WinnowError
from winnow.figures import mechanism
from winnow.paper import formulas


def test_features_pool_all_neurons_of_all_seeds():
    data, _ = mechanism.features(*made_up.experiments("features").values())
    assert set(data.series) == {"dense, 0 pruned", "mild, 0.5 pruned", "over, 0.99 pruned"}
    assert (data.neurons == 2 * made_up.SEEDS).all()
    shares = data.groupby(["strength", "series"]).share.sum()
    assert shares.to_numpy() == pytest.approx(1)
    means = data[data.strength == "signal_strength"].groupby("series").y.first()
    assert means["dense, 0 pruned"] == pytest.approx((0.1 + 0.2) / 2)


def test_neurons_of_runs_that_diverged_are_in_no_histogram():
    """All of them at a fraction were drawn, beside n = 0."""
    tables = made_up.experiments("features")
    table = tables["boundary"].table
    lost = (table.fraction == 0.99) | (table.fraction == 0.5) & (table.seed == 0)
    table["status"] = table.status.mask(lost, "diverged")
    data, _ = mechanism.features(*tables.values())
    counted = data.groupby("series")[["n", "diverged", "neurons"]].max().T.to_dict("list")
    assert counted == {"dense, 0 pruned": [4, 0, 8], "mild, 0.5 pruned": [3, 1, 6], "over, 0.99 pruned": [0, 4, 0]}
    assert data[data.n == 0].share.sum() == 0
    table["status"] = "diverged"
    with pytest.raises(WinnowError, match="all runs diverged"):
        mechanism.features(*tables.values())


def test_the_width_exponent_is_that_of_the_runs():
    tables = made_up.experiments("decomposition")
    table = tables["width_mild"].table
    table["gamma_least"] = table.width ** (-0.4 - table.seed / 1000)
    data, figure = mechanism.decomposition(*tables.values())
    labels = [text.get_text() for text in figure.axes[4].get_legend().get_texts()]
    assert sum("exponent -0.40 [-0.40, -0.40]" in label for label in labels) >= 1
    assert data[data.panel == "width"].y.max() == pytest.approx(50**-0.4, rel=0.01)


def test_points_of_few_seeds_are_named():
    tables = made_up.experiments("lemmas")
    table = tables["boundary"].table
    table.loc[(table.fraction == 0.99) & (table.seed > 0), ["signal_start_low", "signal_start_high"]] = math.nan
    _, figure = mechanism.lemmas(*tables.values())
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[1].texts] == ["n = 1"]
    box = figure.axes[1].texts[0].get_window_extent().transformed(figure.axes[1].transData.inverted())
    assert box.y1 < min(line.get_ydata().min() for line in figure.axes[1].lines if len(line.get_ydata()))
    assert not list(figure.axes[0].texts)


def test_coefficients_of_runs_that_did_not_get_there_are_marked():
    """Three of four runs at .9 and all at .99 end above the train loss at which the others are compared."""
    tables = made_up.experiments("decomposition")
    table = tables["boundary"].table
    late = (table.fraction == 0.99) | (table.fraction == 0.9) & (table.seed > 0)
    table.loc[late, "train_loss"] = 0.02
    _, figure = mechanism.decomposition(*tables.values())
    label = "most runs unfinished"
    patches = [patch for axes in figure.axes[:2] for patch in axes.patches]
    assert [patch.get_label() for patch in patches] == [label]
    ends = sorted(patches[0].get_x() + np.array([0, patches[0].get_width()]))
    assert 0.1 < ends[1] < 0.5 and ends[0] < 0.01
    said = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert label in said
    assert not any("0.01" in axes.get_ylabel() for axes in figure.axes)


def test_what_is_memorized_is_drawn_over_the_initial_weights():
    """The larger one of zeta and -omega, where runs reach the train loss, with Theorem 3's bound when dense."""
    tables = made_up.experiments("decomposition")
    table = tables["start-orthogonal"].table
    there = table.train_loss < 0.01
    table.loc[there, "zeta_max"], table.loc[there, "omega_max"] = table.init_std, 3 * table.init_std
    data, figure = mechanism.decomposition(*tables.values())
    drawn = data[data.panel == "start-orthogonal"]
    assert drawn.y.to_numpy() == pytest.approx(3 * drawn.x)
    assert sorted(drawn.x.unique()) == [1e-10, 1e-4, 0.1] and drawn.series.nunique() == len(made_up.FRACTIONS)
    assert data[data.panel == "start"].y.max() == pytest.approx(0.1)
    assert [axes.get_xscale() for axes in figure.axes[2:4]] == ["log", "log"]
    bound = next(line for line in figure.axes[3].lines if line.get_label() == "Theorem 3's bound, dense")
    settings = tables["start-orthogonal"].settings
    most = formulas.noise_bounds(4, settings.model.width, 1024, 0.1, settings.data.sigma_n, 1)[1]
    assert bound.get_ydata()[-1] == pytest.approx(most)


def test_chance_is_drawn():
    _, figure = mechanism.causes(*made_up.experiments("causes").values())
    levels = [line.get_ydata() for axes in figure.axes for line in axes.lines if len(line.get_ydata())]
    assert sum(len(set(y)) == 1 and math.isclose(y[0], 0.75) for y in levels) == 2


def test_what_no_run_of_the_mild_range_shows_is_told():
    tables = made_up.experiments("decomposition")
    tables["width_mild"].table.train_loss = 1.0
    with pytest.raises(WinnowError, match=r"^width_mild: at no fraction of .* a run reach train loss 0\.01$"):
        mechanism.decomposition(*tables.values())
    (boundary,) = made_up.experiments("features").values()
    cut = replace(boundary, table=boundary.table[boundary.table.fraction.isin([0, 0.99])])
    with pytest.raises(
        WinnowError, match=r"^boundary, init_std 0\.1: fractions 0, 0\.99; needs a pruned one of density"
    ):
        mechanism.features(cut)
