from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from winnow.analysis import stats
from winnow.analysis.stats import mean_interval
from winnow.randomness import Stream

# Final values of runs of config/ci.yaml's experiments with 100 or 150 seeds (fig2a, fig2b, fig5: at the last step;
# boundary, init_std 0.1: at train loss 0.01; noisy: points of accuracy over dense at fraction 0.8), minus their mean.
RESIDUALS = pd.read_csv(Path(__file__).with_name("residuals.csv"))


def test_interval_is_the_t_interval_at_every_number_of_seeds():
    for n in (2, 3, 30):
        values = np.random.default_rng(n).normal(3, 1, (n, 4))
        expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
        np.testing.assert_allclose(mean_interval(values), (expected.low, expected.high))
        np.testing.assert_allclose(stats.standard_error(values), scipy.stats.sem(values))


@pytest.mark.parametrize("seeds", [3, 8, 30, 50])
def test_intervals_of_real_residuals_cover_their_mean(seeds):
    """At least .93 on average over the statistics, which a percentile bootstrap of three seeds misses by far.

    The worst one is bimodal (figure 5: one seed in eight cannot fit a class); three seeds see one mode only in half of
    the cases, and no interval can know of the other.
    """
    rng, covered = np.random.default_rng(seeds), {}
    for name, part in RESIDUALS.groupby(["experiment", "fraction", "statistic"]):
        values = part.residual.to_numpy()
        low, high = mean_interval(values[rng.integers(len(values), size=(seeds, 4000))])
        covered[name] = np.mean((low <= values.mean()) & (values.mean() <= high))
    assert len(covered) == 7
    assert np.mean(list(covered.values())) >= 0.93
    assert min(covered.values()) >= 0.88


@pytest.mark.parametrize("values", [[0.25], [0.25] * 5, [0.3 - 0.1, 0.2, 0.1 + 0.1], [0.0, 0.0]])
def test_one_seed_and_seeds_that_agree_have_no_interval_and_no_p_value(values):
    """Not one of no width; nor is how a difference was rounded a spread."""
    assert np.isnan(mean_interval(values)).all()
    assert np.isnan(stats.standard_error(values))
    assert np.isnan([*stats.one_sided(values, 0.1), *stats.beyond(values, 0.1), *stats.equivalence(values, 0, 9)]).all()
    assert np.isnan(stats.two_samples(values, [1, 2, 3])).all()
    assert np.isnan(stats.best_of(np.array([values, range(len(values))]).T)[1:]).all()
    assert np.isnan(stats.every([(0.01, 0.99), (np.nan, np.nan)])).all()


def test_a_share_of_examples_scatters_at_least_as_its_counts_do():
    """By hand: 3 of 40 examples of two seeds; a difference of -0.1 may be gains and losses or losses alone."""
    share = 5 / 44
    assert stats.least_deviation([0.1, 0.05], 20) == pytest.approx(np.sqrt(share * (1 - share) / 20))
    assert stats.least_deviation([-0.1, -0.05], 20) == stats.least_deviation([0.1, 0.05], 20)
    assert 0 < stats.least_deviation([0.0, 0.0], 20) < 0.05
    assert stats.least_deviation([[0.1, 0.0], [0.1, 0.0]], 20).shape == (2,)
    assert stats.least_deviation([0.1, 0.1], np.nan) == stats.least_deviation([], 20) == 0
    low, high = mean_interval([0.1, 0.1], floor=0.05)
    assert high - low == pytest.approx(2 * scipy.stats.t.ppf(0.975, 1) * 0.05 / np.sqrt(2))
    assert mean_interval([0.0, 1.0], floor=0.05) == pytest.approx(mean_interval([0.0, 1.0]))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("examples", [10, 20, 100])
def test_errors_on_small_test_sets_are_called_different_no_more_often_than_said(seeds, examples):
    """What holds is rejected in at most 5 % (and 0.1 %) of all cases, two-sided as verdicts are: a level of an error
    rate, no difference or a known one of two networks on the same examples, no difference of two samples. With ties
    as certainty it is up to 30 %."""
    rng, cases = np.random.default_rng(seeds * examples), 20_000
    size = (seeds, cases)
    found = {}
    for p in (0.01, 0.05, 0.2, 0.5):
        errors, others = (rng.binomial(examples, p, size) / examples for _ in range(2))
        floors = stats.least_deviation(errors, examples), stats.least_deviation(others, examples)
        found["level", p] = stats.one_sided(errors, p, floors[0])
        pairs = zip(errors.T[:500], others.T[:500], *(floor[:500] for floor in floors), strict=True)
        found["samples", p] = np.array([stats.two_samples(a, b, (f, g))[2:] for a, b, f, g in pairs]).T
    for gain, lost in ((0.01, 0.01), (0.1, 0.1), (0.4, 0.4), (0.06, 0.01), (0.3, 0.2), (0.1, 0.0)):
        counts = rng.multinomial(examples, [gain, lost, 1 - gain - lost], size)
        pairs = (counts[..., 0] - counts[..., 1]) / examples
        found["pairs", gain, lost] = stats.one_sided(pairs, gain - lost, stats.least_deviation(pairs, examples))
    for what, (above, below) in found.items():
        p = np.minimum(1, 2 * np.minimum(above, below))
        assert not np.isnan(p).any()
        for level in (0.05, 0.001):
            assert np.mean(p < level) <= level + 4 * np.sqrt(level / len(p)), (what, level)


def test_one_sided_p_values_are_those_of_the_t_test():
    values = np.array([0.3, 0.1, 0.5, 0.2])
    above, below = stats.one_sided(values, 0.1)
    assert above == pytest.approx(scipy.stats.ttest_1samp(values, 0.1, alternative="greater").pvalue)
    assert below == pytest.approx(scipy.stats.ttest_1samp(values, 0.1, alternative="less").pvalue)


def test_a_p_value_far_in_the_tail_is_not_rounded_to_one():
    """1 - p of the other side is 0 or 1 there: both sides are computed."""
    above, below = stats.one_sided(1 + 1e-9 * np.arange(10.0))
    assert below == 1
    assert 0 < above < 1e-50
    assert 0 < stats.one_sided(-1 - 1e-9 * np.arange(10.0))[1] < 1e-50


def test_within_a_margin_nothing_is_said():
    values = 0.05 + 0.01 * np.random.default_rng(0).standard_normal(20)
    assert min(stats.beyond(values, 0.1)) > 0.99
    assert stats.beyond(values + 0.2, 0.1)[0] < 1e-6
    assert stats.beyond(values - 0.3, 0.1)[1] < 1e-6


def test_equivalence_needs_both_sides():
    rng = np.random.default_rng(0)
    near, far = 0.5 + 0.01 * rng.standard_normal(20), 0.6 + 0.01 * rng.standard_normal(20)
    wide = 0.5 + 0.5 * rng.standard_normal(20)
    inside, outside = stats.equivalence(near, 0.5, 0.02)
    assert inside < 0.001 < outside
    inside, outside = stats.equivalence(far, 0.5, 0.02)
    assert outside < 0.001 < inside
    assert min(stats.equivalence(wide, 0.5, 0.02)) > 0.05


def test_two_samples_are_welchs_and_not_paired():
    rng = np.random.default_rng(1)
    common = 10 * rng.standard_normal(20)  # pairs would have no noise left
    one, other = common + 0.5, common + 0.01 * rng.standard_normal(20)
    low, high, above, below = stats.two_samples(one, other)
    assert low < 0.5 < high
    assert min(above, below) > 0.2
    low, high, above, below = stats.two_samples(one / 10, other / 10 + 3)
    assert high < 0
    assert below < 1e-6
    assert above == pytest.approx(1)
    test = scipy.stats.ttest_ind(one[:5], other, equal_var=False)
    expected = scipy.stats.ttest_ind(one[:5], other, equal_var=False, alternative="greater").pvalue
    low, high, above, below = stats.two_samples(one[:5], other)
    assert (low, high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (above, below) == pytest.approx((expected, 1 - expected))
    assert np.isnan(stats.two_samples([1.0], [0.0, 0.1])).all()


def test_the_best_of_many_pays_for_having_been_chosen():
    rng = np.random.default_rng(2)
    found = [stats.best_of(rng.standard_normal((12, 24))) for _ in range(400)]
    assert np.mean([p_for < 0.05 for *_, p_for, _ in found]) < 0.06
    assert np.mean([low <= 0 <= high for _, low, high, _, _ in found]) > 0.94
    values = rng.standard_normal((12, 24))
    values[:, 3] += 3
    best, low, high, above, below = stats.best_of(values)
    assert best == 3
    assert low < 3 < high
    assert above < 0.01 < below
    assert stats.best_of(values - 5)[4] < 0.01


def test_every_group_must_be_above_and_one_below_is_enough_against():
    shares = [stats.share(k, 20, 0.5) for k in (20, 19, 20)]
    above, below = stats.every(shares)
    assert above == pytest.approx(scipy.stats.binomtest(19, 20, alternative="greater").pvalue)
    assert below == 1
    above, below = stats.every([stats.share(k, 20, 0.5) for k in (20, 1, 20)])
    assert above > 0.99
    assert below == pytest.approx(3 * scipy.stats.binomtest(1, 20, alternative="less").pvalue)
    low, high = stats.share_interval(20, 20)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1)


def test_holm_by_hand():
    adjusted = stats.holm([0.01, 0.04, np.nan, 0.03])
    assert adjusted[[0, 1, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjusted[2])
    assert [stats.smallest(p) for p in ([0.01, 0.9], [0.6, 0.5], [0.5, 0.5, 0.01])] == pytest.approx([0.02, 1, 0.03])
    assert np.isnan(stats.smallest([0.01, np.nan]))


def test_fits_are_those_of_lapack_and_their_bits_no_librarys():
    x, y = np.linspace(0, 0.95, 20), Stream(0).normals(20).astype(float)
    assert stats.slope(x, y) == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-6)
    for degree in (0, 1, 3):
        assert stats.polynomial(x, y, degree) == pytest.approx(np.polyval(np.polyfit(x, y, degree), x), abs=1e-9)
