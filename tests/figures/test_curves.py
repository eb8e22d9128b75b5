import itertools

import numpy as np
import pandas as pd
import pytest

from winnow.figures import curves, style
from winnow.files import rounded


def rows(values: dict[tuple[float, int], float]) -> pd.DataFrame:
    """One row a (fraction, seed)."""
    points = [{"fraction": f, "seed": s, "value": v, "run": f"{f:g}/seed-{s}"} for (f, s), v in values.items()]
    return pd.DataFrame(points).assign(status="max_steps")


def test_a_point_is_a_mean_over_seeds_and_knows_its_runs():
    table = rows({(0.5, 10): 3.0, (0.5, 2): 1.0, (0.9, 2): 5.0, (0.9, 10): np.nan})
    data = curves.over_seeds(table, "value")
    assert data.y.to_list() == [2, 5]
    assert data.n.to_list() == [2, 1]
    assert data.runs.to_list() == [["0.5/seed-2", "0.5/seed-10"], ["0.9/seed-2"]]
    assert data.sd[0] == pytest.approx(np.sqrt(2)) and np.isnan(data.sd[1])
    assert (data.low[0], data.high[0]) == tuple(rounded(curves.mean_interval(np.array([1.0, 3.0]))))
    pairs = table.assign(run=[["dense", run] for run in table.run])
    assert curves.over_seeds(pairs, "value").runs[1] == ["dense", "0.9/seed-2"]
    with pytest.raises(ValueError, match=r"value at fraction 0\.5: a seed has more than one value"):
        curves.over_seeds(pd.concat([table, table]), "value")


def test_a_share_of_runs_has_a_binomial_interval():
    table = rows({(f, s): s < 3 or f > 0.5 for f in (0.5, 0.8) for s in range(4)})
    data = curves.over_seeds(table, "value")
    assert data.y.to_list() == [0.75, 1]
    assert (data.low[0], data.high[0]) == (pytest.approx(0.19412, abs=1e-5), pytest.approx(0.99369, abs=1e-5))
    assert (data.low[1], data.high[1]) == (pytest.approx(0.025 ** (1 / 4)), 1)  # a t interval would be 1 to 1


def test_an_interval_of_a_share_ends_where_shares_do():
    rows = pd.DataFrame({"connected_share": [0.8, 1.0, 1.0], "fraction": 0.9, "seed": range(3), "status": "max_steps"})
    (point,) = curves.over_seeds(rows.assign(run="a"), "connected_share").itertuples()
    assert point.high == 1.0 and 0 < point.low < point.y  # it went to 1.22


def test_an_interval_of_positive_numbers_stays_above_0():
    """Nine seeds have learned and one has not: a t interval of the mean loss would go down to -.18."""
    table = rows({(0.5, s): 1.4 if s == 0 else 0.001 for s in range(10)}).rename(columns={"value": "test_loss"})
    point = curves.over_seeds(table, "test_loss").iloc[0]
    half = curves.mean_interval(table.test_loss.to_numpy())[1] - point.y
    assert half > point.y
    factor = np.exp(half / point.y)
    assert (point.low, point.high) == pytest.approx((point.y / factor, point.y * factor))
    gain = curves.over_seeds(table.rename(columns={"test_loss": "test_gain"}), "test_gain").iloc[0]
    assert gain.low == pytest.approx(point.y - half)  # a gain may be a loss
    assert curves.over_seeds(table.assign(test_loss=0.0), "test_loss").y[0] == 0


def test_a_diverged_run_is_in_no_mean_and_is_counted():
    table = rows({(f, s): 10 * f + s for f in (0.5, 0.8, 0.9) for s in range(4)})
    table.loc[(table.fraction == 0.8) & (table.seed == 3) | (table.fraction == 0.9), "status"] = "diverged"
    data = curves.over_seeds(table, "value")
    assert data.x.to_list() == [0.5, 0.8, 0.9]
    assert data.y.to_list()[:2] == [6.5, 9] and np.isnan(data.y[2])
    assert data.n.to_list() == [4, 3, 0]
    assert data.diverged.to_list() == [0, 1, 4]
    assert data.runs[1] == [f"0.8/seed-{s}" for s in range(3)]
    assert curves.seeds(data) == "n = 0 to 4, \u2264 4 diverged"


def test_a_mean_over_training_is_taken_at_the_steps_of_all_runs():
    """Run a stops at step 20, below a milestone at 7; run b goes on to 40."""
    steps = {"a": [0, 7, 10, 20], "b": [0, 10, 20, 40]}
    table = pd.DataFrame(
        [{"run": r, "seed": "ab".index(r), "step": s, "loss": 100.0 - s} for r in steps for s in steps[r]]
    ).assign(status="max_steps")
    data = curves.over_seeds(curves.at_shared_steps(table), "loss", "step")
    assert data.x.to_list() == [0, 10, 20, 40]
    assert data.y.to_list() == [100, 90, 80, (80 + 60) / 2]  # a keeps its last value
    assert data.n.to_list() == [2, 2, 2, 2]


def test_points_of_fewer_seeds_are_hollow_and_named():
    _, axes = style.new_figure()
    data = pd.DataFrame({"x": [0.0, 1.0], "y": 1.0, "low": 0.9, "high": 1.1, "n": [40, 4], "diverged": 0})
    curves.line_with_interval(axes, data, "loss", "C0")
    assert axes.lines[0].get_label() == "loss (n = 4 to 40)"
    assert axes.lines[1].get_xdata() == [1]
    assert axes.lines[1].get_markerfacecolor() == "white"
    assert curves.seeds(data[:1]) == "n = 40"
    assert curves.seeds(data[:0]) == "no runs"


@pytest.mark.parametrize("fractions", [(0, 0.5), (0, 0.36, 0.971853), (0, 0.998), (0.97, 0.992)])
def test_labels_of_a_density_axis_are_round_and_have_room(fractions):
    figure, axes = style.new_figure(3)
    for panel in axes:
        curves.density_axis(panel, np.array(fractions))
    figure.canvas.draw()
    assert axes[0].get_xticklabels()[0].get_text() == "0"
    boxes = [label.get_window_extent() for label in axes[0].get_xticklabels()]
    assert len(boxes) >= 2
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_markers_differ_and_come_again():
    markers = [style.curve_marker(number) for number in range(len(style.MARKERS) + 1)]
    assert len(set(markers)) == len(style.MARKERS) == 11
    assert markers[-1] == markers[0]
