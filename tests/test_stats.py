import numpy as np
import pytest

from winnow.stats import mean_interval


def test_interval_is_deterministic_and_holds_the_mean():
    values = np.random.default_rng(0).normal(3, 1, (30, 4))
    low, high = mean_interval(values)
    assert np.array_equal([low, high], mean_interval(values))
    assert (low < values.mean(0)).all()
    assert (values.mean(0) < high).all()
    half = 1.96 * values.std(0, ddof=1) / np.sqrt(30)
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    low, high = mean_interval(rng.exponential(1.0, (50, 400)))
    assert 0.88 < np.mean((low <= 1) & (high >= 1)) < 0.98


def test_constant_values_and_a_single_seed_have_no_width():
    assert mean_interval(np.full((5, 2), 0.25)) == (pytest.approx([0.25, 0.25]), pytest.approx([0.25, 0.25]))
    low, high = mean_interval(np.array([[1.0, 2.0]]))
    assert low.tolist() == high.tolist() == [1, 2]
