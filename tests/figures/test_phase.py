import math

import made_up
import numpy as np
import pytest

from winnow.errors import WinnowError
from winnow.figures import phase
from winnow.paper import formulas


def test_the_fit_recovers_the_constants_it_was_made_with():
    data, _ = phase.phase(*made_up.experiments("phase").values())
    assert data.slope.iloc[0] == pytest.approx(2, abs=0.05)
    assert data.constant.iloc[0] == pytest.approx(0.5, abs=0.05)
    assert data.constant_low.iloc[0] <= data.constant.iloc[0] <= data.constant_high.iloc[0]
    assert data.held_out_error.iloc[0] < 0.01 < data.constant_error.iloc[0]


def test_cells_show_their_uncertainty():
    """One cell's seeds are far apart: a bar in d, and a dot on the map of its experiment."""
    tables = made_up.experiments("phase")
    table = tables["noise"].table
    cell = (table.fraction == 0.5) & (table.sigma_n == 0.1)
    table.loc[cell, "test_error"] = 0.2 + 0.1 * table.seed
    data, figure = phase.phase(*tables.values())
    wide = data[data.high - data.low > 0.2]
    assert wide[["value", "x"]].to_numpy().tolist() == [[0.1, 0.5]]
    lines = [line for axes in figure.axes for line in axes.lines]
    dots = [line.get_xydata().tolist() for line in lines if line.get_label() == "uncertain"]
    assert dots == [[[1, 1]], [], []]  # second fraction, second noise
    diagram = next(axes for axes in figure.axes if axes.get_xlabel().startswith("predicted"))
    bars = np.concatenate([segment[:, 1] for bar in diagram.collections for segment in bar.get_segments()])
    point = wide.iloc[0]
    assert np.isclose(bars, (point.low - point.chance) / (point.kept - point.chance)).any()


def test_values_of_a_map_are_those_of_the_runs():
    """As text of six digits two of them were one, and a width of two million was no whole number."""
    tables = made_up.experiments("phase")
    tables["width"].table["width"] = tables["width"].table.width.replace(200, 2_000_001.0)
    tables["noise"].table["sigma_n"] = tables["noise"].table.sigma_n.replace(0.1, 0.20000001)
    data, _ = phase.phase(*tables.values())
    assert data[data.swept == "width"].series.unique().tolist() == ["width = 50", "width = 2000001"]
    assert data.groupby(["swept", "value"]).ngroups == data.series.nunique()


def test_the_predicted_boundary_is_where_the_race_is_even():
    found = made_up.theory_settings("condition2")
    density = phase._boundary(found.at({"sigma_n": "0.1"}), 0.0)
    size = (4, 50, 50, 1024, 1.0, 0.1)
    assert formulas.race_from_maxima(*size, density, 3) == pytest.approx(0, abs=0.1)
    assert phase._boundary(found.at({"sigma_n": "0.001"}), 0.0) == 2.0


def test_a_boundary_beyond_the_largest_fraction_leaves_the_map():
    """It was drawn at the last fraction, as if it lay there."""
    tables = made_up.experiments("phase")
    tables["width"].table["width"] = tables["width"].table.width.replace(200, 2_000_001.0)
    _, figure = phase.phase(*tables.values())
    lost = [line.get_xdata() for axes in figure.axes for line in axes.lines if line.get_label() == "a class lost"]
    assert lost[1][-1] == tables["width"].table.fraction.nunique() - 0.5


@pytest.mark.parametrize("last", [math.nan, 1.0])
def test_a_diverged_run_is_left_out_of_its_cell_and_counted(last):
    tables = made_up.experiments("phase")
    table = tables["noise"].table
    lost = (table.seed == 0) & (table.fraction == 0.9) & (table.sigma_n == 0.1)
    table.loc[lost, ["test_error", "train_loss", "status"]] = last, 9.0, "diverged"
    data, figure = phase.phase(*tables.values())
    assert data[(data.value == 0.1) & (data.swept == "sigma_n")].n.to_list() == [4, 4, 3, 4]
    assert "n = 3 to 4, \u2264 1 diverged" in figure.axes[0].get_title(loc="left")
    assert data.slope.iloc[0] == pytest.approx(2, abs=0.05)


def test_a_cell_in_which_all_runs_diverged_is_drawn_empty():
    tables = made_up.experiments("phase")
    table = tables["noise"].table
    lost = (table.fraction == 0.9) & (table.sigma_n == 0.1)
    table.loc[lost, ["test_error", "train_loss", "status"]] = 1.0, 9.0, "diverged"
    data, _ = phase.phase(*tables.values())
    (cell,) = data[data.n == 0].itertuples()
    assert (cell.x, cell.value, cell.diverged, math.isnan(cell.y)) == (0.9, 0.1, 4, True)
    assert data.slope.iloc[0] == pytest.approx(2, abs=0.05) and data.fitted_error.iloc[0] < 0.01
    for name in ("noise", "width"):
        tables[name].table[["train_loss", "status"]] = 9.0, "diverged"
    with pytest.raises(WinnowError, match=r"^noise, width: a race is fitted to two fractions or values at least"):
        phase.phase(*tables.values())
