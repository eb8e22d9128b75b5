import math

import numpy as np
import pandas as pd
import pytest

from winnow.judge import selection


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
    assert selection.at_step(table(), 1).train_loss.tolist() == [0.1, 0.1, 0.1, 1.1]


def test_the_gap_has_a_floor():
    rows = pd.DataFrame({"train_loss": [0.1, 0.2], "test_loss": [0.3, 0.1]})
    assert selection.loss_gap(rows).tolist() == [pytest.approx(0.2), selection.SMALLEST_GAP]


def test_crossings_are_interpolated_in_logarithms():
    steps = selection.first_step_above(table(), "gamma_max", 0.1)
    assert steps.tolist() == pytest.approx([1.0] * 4)
    halfway = selection.first_step_above(table(), "gamma_max", 0.1 * math.sqrt(10)).iloc[0]
    assert math.log1p(halfway) == pytest.approx((math.log(2) + math.log(3)) / 2)
    assert selection.first_step_above(table(), "gamma_max", 1e9).isna().all()


def test_slopes_are_by_seed_and_leave_out_seeds_with_few_points():
    x = np.tile([0.0, 1.0, 2.0], 3)
    y = np.concatenate([[0, 2, 4], [1, 0, -1], [np.nan, 1, 2]])
    rows = pd.DataFrame({"seed": np.repeat([0, 1, 2], 3), "x": x, "y": y})
    assert selection.slopes_by_seed(rows, "x", "y") == pytest.approx([2, -1])
