import math

import numpy as np
import pandas as pd
import pytest
import worlds

from winnow.analysis import selection
from winnow.catalogue import FIGURES
from winnow.errors import WinnowError
from winnow.figures import mechanism


def table() -> pd.DataFrame:
    """Two fractions, two seeds; the second fraction never reaches 0.01 with seed 1."""
    rows = []
    for fraction in (0.0, 0.5):
        for seed in (0, 1):
            for step, loss in enumerate([1.0, 0.1, 0.009, 0.0009]):
                late = 1.0 if fraction and seed else 0.0
                gamma = 0.01 * 10**step
                rows.append((fraction, seed, step, loss + late, loss + late + 0.1 * (1 - fraction), gamma))
    return pd.DataFrame(rows, columns=["fraction", "seed", "step", "train_loss", "test_loss", "gamma_max"])


def test_first_below_is_the_first_evaluation_there_or_the_last_of_all():
    rows = selection.first_below(table(), 0.01)
    assert rows[["fraction", "seed"]].to_numpy().tolist() == [[0, 0], [0, 1], [0.5, 0], [0.5, 1]]
    assert rows.step.tolist() == [2, 2, 2, 3]
    assert rows.reached.tolist() == [True, True, True, False]
    assert selection.last(table()).step.tolist() == [3] * 4
    assert selection.at_step(table(), 1).train_loss.tolist() == [0.1, 0.1, 0.1, 1.1]


def test_of_a_run_that_diverged_only_the_draw_is_known():
    """Its last evaluation is no end, and may lack the draw, or may be finite: means were made of it."""
    one = table().assign(status="max_steps", classes_dead=1.0, test_error=0.5)
    one.loc[one.seed == 1, "status"] = "diverged"
    one.loc[(one.seed == 1) & (one.step == 3), "classes_dead"] = math.nan
    rows = selection.first_below(one, 0.01).set_index(["fraction", "seed"])
    lost = rows.loc[0.5, 1]
    assert (lost.reached, lost.status, lost.classes_dead) == (False, "diverged", 1)
    assert lost[["train_loss", "test_loss", "test_error", "gamma_max"]].isna().all()
    others = rows.drop(index=(0.5, 1))
    assert (others.reached & (others.status == "converged") & (others.test_error == 0.5)).all()


def test_a_run_that_diverged_has_learned_nothing():
    one = regime("condition2")
    lost = one.table.seed == 3
    runs = selection.Regime("x", one.table.assign(status=one.table.status.mask(lost, "diverged")), one.settings)
    times = selection.learning_times(runs)
    assert times[times.seed == 3].steps.isna().all() and times[times.seed != 3].steps.notna().all()
    assert len(selection.time_exponents(runs)) == worlds.SEEDS_OF["condition2"] - 1


def test_a_float32_column_is_judged_in_double_precision(tmp_path):
    singles = pd.DataFrame({"variance_noise": np.full(3, 0.1, np.float32), "seed": [0, 1, 2]})
    singles.to_parquet(tmp_path / "metrics.parquet")
    read = selection.read_metrics(tmp_path / "metrics.parquet")
    assert read.dtypes.to_dict() == {"variance_noise": np.float64, "seed": np.int64}
    assert np.log(read.variance_noise[0]) == np.log(float(np.float32(0.1))) != np.log(np.float32(0.1))


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "metrics.parquet"
    table().to_parquet(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(WinnowError, match=r"metrics\.parquet: cannot be read as a table .*; delete it and run again$"):
        selection.read_metrics(path)


def test_the_gap_weighs_classes_alike_and_may_be_negative():
    rows = pd.DataFrame({"train_loss": [9.0, 9], "test_loss": [0.0, 0]})
    rows = rows.assign(train_loss_balanced=[0.1, 0.2], test_loss_balanced=[0.3, 0.1])
    assert selection.gap(rows).tolist() == pytest.approx([0.2, -0.1])
    diverged = rows.assign(train_loss=[9.0, math.nan], train_loss_balanced=[0.1, math.nan])
    assert np.isnan(selection.gap(diverged).iloc[1])


def test_crossings_are_interpolated_in_logarithms():
    steps = selection.first_step_above(table(), "gamma_max", 0.1)
    assert steps.tolist() == pytest.approx([1.0] * 4)
    halfway = selection.first_step_above(table(), "gamma_max", 0.1 * math.sqrt(10)).iloc[0]
    assert math.log1p(halfway) == pytest.approx((math.log(2) + math.log(3)) / 2)
    assert selection.first_step_above(table(), "gamma_max", 1e9).isna().all()
    none = selection.first_step_above(table()[:0], "gamma_max", 0.1).reset_index()
    assert list(none) == ["fraction", "seed", "steps"] and none.empty
    assert (none.dtypes == steps.reset_index().dtypes).all()


def test_slopes_are_by_seed_and_leave_out_seeds_with_few_points():
    x = np.tile([0.0, 1.0, 2.0], 3)
    y = np.concatenate([[0, 2, 4], [1, 0, -1], [np.nan, 1, 2]])
    rows = pd.DataFrame({"seed": np.repeat([0, 1, 2], 3)})
    assert selection.slopes_by_seed(rows, x, y) == pytest.approx([2, -1])
    rows = pd.DataFrame({"seed": 0, "fraction": [0.0, 0.5, 0.75, 0.9], "width": [1, 2, 4, 8], "y": [1, 2, 4, 0.0]})
    assert selection.exponents(rows, "y") == pytest.approx([-1])  # a 0 has no logarithm
    assert selection.exponents(rows, "y", "width") == pytest.approx([1])


def test_theorem_3_s_range_is_the_same_for_every_question():
    one = regime("condition2")
    assert one.mild_density == pytest.approx(math.log(worlds.DIMENSION) / worlds.WIDTH)
    mild = {0.0, 0.5, 0.8, 0.9}
    assert set(one.mild_ends().fraction) == set(selection.learning_times(one).fraction) == mild
    assert len(one.starts()) == len(one.ends()) == worlds.SEEDS_OF["condition2"] * len(worlds.FRACTIONS)


def test_over_pruned_is_beyond_the_mild_range():
    """The largest fraction was taken for over-pruned wherever it lay."""
    one = regime("condition2")
    assert selection.three_fractions(one) == {"dense": 0.0, "mild": 0.8, "over": 0.998}
    mild, dense = (selection.Regime("x", one.table[one.table.fraction <= at], one.settings) for at in (0.8, 0))
    assert selection.three_fractions(mild) == {"dense": 0.0, "mild": 0.8}
    with pytest.raises(WinnowError, match=r"^x: fractions 0; needs a pruned one of density >= 0.076"):
        selection.three_fractions(dense)


def test_the_signal_is_learned_when_the_last_class_has_it():
    one = regime("condition2")
    table = one.table.assign(gamma_max=1e9)  # the fastest class does not count
    again = selection.learning_times(selection.Regime("x", table, one.settings))
    assert again.steps.tolist() == selection.learning_times(one).steps.tolist()
    assert again.steps.notna().all()


def test_runs_without_a_signal_are_counted_where_that_is_likely():
    one = regime("overprune")
    rows = selection.without_signal(one, one.ends())
    assert set(rows.fraction) == {0.99, 0.995, 0.998}
    early = one.ends().assign(classes_missing=2)  # at smaller fractions they would be freaks
    assert len(selection.without_signal(one, early)) == len(rows)
    assert selection.without_signal(one, early.assign(classes_missing=1)).empty


def test_the_width_is_judged_and_drawn_on_the_same_runs():
    one = regime("width_mild")
    table, rows = one.table, selection.width_rows(one)
    assert set(rows.fraction) == {0.0, 0.5, 0.8}  # log d / 50 = .15, for all widths
    assert set(rows.width) == {50, 100, 400}
    table.loc[(table.width == 100) & (table.seed == 3), "train_loss"] = 1.0
    fewer = selection.width_rows(one)
    assert len(fewer) == len(rows) - 3
    drawn, _ = mechanism.decomposition(*map(drawable, FIGURES["decomposition"].experiments))
    drawn = drawn[drawn.panel == "width"]
    for (fraction, width), part in fewer.groupby(["fraction", "width"]):
        point = drawn[(drawn.series == f"gamma_least, {fraction:g} pruned") & (drawn.x == width)]
        assert point.n.item() == len(part)
        assert point.y.item() == pytest.approx(part.gamma_least.mean())


def test_a_dense_network_with_small_weights_stands_beside_the_pruned_one_of_its_norm():
    rows = selection.as_densities(regime("small_init"), regime("causes"))
    assert sorted(set(rows.fraction)) == pytest.approx(worlds.FRACTIONS, abs=1e-4)


def test_values_that_differ_in_their_last_digits_are_two_regimes():
    one = regime("boundary")
    for values in ((0.10000001, 0.10000002), (1e-10, 0.1)):
        table = one.table.assign(init_std=one.table.init_std.map(dict(zip((0.02, 0.1), values, strict=True))))
        parts = selection.Regime("boundary", table, one.settings).at_each("init_std")
        assert [part.settings.model.init_std for part in parts] == [*values]
        assert len({part.name for part in parts}) == 2
    wide = one.table.assign(width=2e6)
    (part,) = selection.Regime("x", wide, one.settings).at_each("width")
    assert (part.name, part.settings.model.width) == ("x, width 2000000", 2_000_000)


def test_coordinates_that_nobody_pruned_are_named():
    causes = regime("causes")
    assert set(selection.pruned_coordinates(causes, "signal").target) == {"signal"}
    with pytest.raises(WinnowError, match="needs runs of `causes` with target none"):
        selection.pruned_coordinates(causes, "none")


def drawable(name: str) -> selection.Regime:
    """An experiment as figures have it: runs have files."""
    one = regime(name)
    rows = one.table.assign(run=[f"seed-{seed}" for seed in one.table.seed])
    return selection.Regime.of(name, rows, one.settings)


def regime(name: str) -> selection.Regime:
    return selection.Regime(name, worlds.table(name, worlds.TRUE), worlds.settings(name))
