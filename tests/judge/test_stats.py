import numpy as np
import pytest
import scipy.stats

from winnow.judge import stats
from winnow.judge.stats import mean_interval


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


def test_one_sided_p_values_are_those_of_the_t_test():
    values = np.array([0.3, 0.1, 0.5, 0.2])
    above, below = stats.one_sided(values, 0.1)
    assert above == pytest.approx(scipy.stats.ttest_1samp(values, 0.1, alternative="greater").pvalue)
    assert above + below == pytest.approx(1)
    assert stats.one_sided([1.0, 1.0]) == (0.0, 1.0)
    assert stats.one_sided([0.0, 0.0]) == (1.0, 1.0)
    assert np.isnan(stats.one_sided([1.0])).all()


def test_equivalence_needs_both_sides():
    rng = np.random.default_rng(0)
    near, far = 0.5 + 0.01 * rng.standard_normal(20), 0.6 + 0.01 * rng.standard_normal(20)
    wide = 0.5 + 0.5 * rng.standard_normal(20)
    inside, outside = stats.equivalence(near, 0.5, 0.02)
    assert inside < 0.001 < outside
    inside, outside = stats.equivalence(far, 0.5, 0.02)
    assert outside < 0.001 < inside
    assert min(stats.equivalence(wide, 0.5, 0.02)) > 0.05


def test_every_share_must_be_high_and_one_low_share_is_enough_against():
    above, below = stats.every_share([20, 19, 20], [20, 20, 20], 0.5)
    assert above == pytest.approx(scipy.stats.binomtest(19, 20, alternative="greater").pvalue)
    assert below == 1
    above, below = stats.every_share([20, 1, 20], [20, 20, 20], 0.5)
    assert above > 0.99
    assert below == pytest.approx(3 * scipy.stats.binomtest(1, 20, alternative="less").pvalue)
    low, high = stats.share_interval(20, 20)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1)


def test_max_t_controls_the_largest_of_many():
    rng = np.random.default_rng(2)
    noise = [stats.max_t(rng.standard_normal((12, 8)), seed).min() < 0.05 for seed in range(40)]
    assert np.mean(noise) < 0.2
    differences = rng.standard_normal((12, 8))
    differences[:, 3] += 3
    adjusted = stats.max_t(differences)
    assert adjusted.argmin() == 3
    assert adjusted[3] < 0.01
    assert (stats.max_t(differences) == adjusted).all()


def test_holm_by_hand():
    adjusted = stats.holm([0.01, 0.04, np.nan, 0.03])
    assert adjusted[[0, 1, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjusted[2])
