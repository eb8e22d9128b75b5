import math

import numpy as np
import pytest

from winnow.paper import formulas
from winnow.two_layer.settings import TwoLayerNetwork

CLASSES, M, D, SIGMA_0, SIGMA_N, DENSITY = 3, 40, 500, 0.05, 0.2, 0.6


def initial(rng, signal: bool):
    """max over a class's neurons of <w(0), x> for one noise patch, or one signal of length 2, by brute force."""
    mask = rng.random((M, D)) < DENSITY
    weights = rng.standard_normal((M, D)) * SIGMA_0 * mask
    if signal:
        return 2 * weights[mask[:, 0], 0].max()
    return (weights @ (rng.standard_normal(D) * SIGMA_N)).max()


def test_lemma_4_noise_bounds_hold_by_brute_force():
    rng = np.random.default_rng(0)
    low, high = formulas.noise_bounds(CLASSES, M, D, SIGMA_0, SIGMA_N, DENSITY)
    drawn = np.array([initial(rng, signal=False) for _ in range(300)])
    assert ((drawn >= low) & (drawn <= high)).mean() > 0.97
    assert low == pytest.approx(SIGMA_0 * SIGMA_N * math.sqrt(DENSITY * D))
    assert high == pytest.approx(low * math.sqrt(2 * math.log(CLASSES * M * D)))


def test_lemma_4_signal_bounds_hold_by_brute_force():
    rng = np.random.default_rng(1)
    low, high = formulas.signal_bounds(CLASSES, M, D, SIGMA_0, 2.0, DENSITY)
    drawn = np.array([initial(rng, signal=True) for _ in range(300)])
    assert ((drawn >= low) & (drawn <= high)).mean() > 0.97
    assert low == pytest.approx(SIGMA_0)
    assert math.isnan(formulas.signal_bounds(CLASSES, M, D, SIGMA_0, 2.0, 1e-9)[1])


def test_lemma_8_bound_is_above_the_measured_probability():
    """Gaussian neurons with the lemma's variance, constant 2 (that of a Gaussian tail)."""
    rng = np.random.default_rng(2)
    scale = 0.05
    sigma_n = scale / (SIGMA_0 * math.sqrt(DENSITY * D))
    largest = (rng.standard_normal((4000, CLASSES * M)) * scale).max(axis=1)
    threshold = TwoLayerNetwork(width=M, power=3).event_threshold
    assert threshold == pytest.approx((2 * M) ** (-2 / 3))
    measured = (largest >= threshold).mean()
    assert 0 < measured <= formulas.event_bound(CLASSES, M, D, SIGMA_0, sigma_n, DENSITY, threshold)


def test_boundaries_are_the_probabilities_they_claim():
    rng = np.random.default_rng(3)
    keeps = rng.random((20_000, 12)) < 0.2
    assert (~keeps.any(axis=1)).mean() == pytest.approx(formulas.class_loss_probability(0.2, 12), abs=0.01)
    alive = keeps & (rng.standard_normal(keeps.shape) > 0)
    assert (~alive.any(axis=1)).mean() == pytest.approx(formulas.dead_class_probability(0.2, 12), abs=0.01)
    assert formulas.mild_density(100, 1200) == pytest.approx(math.log(1200) / 100)
    assert formulas.mild_density(3, 1200) == 1
    live = formulas.live_density(CLASSES, M)
    assert CLASSES * formulas.dead_class_probability(live, M) == pytest.approx(formulas.RISK)
    assert formulas.live_density(4, 2) == 1
    assert formulas.theorem_density(2, 10, 5000) == pytest.approx(1 / (20 * math.log(5000)))


def test_accuracy_after_class_loss_by_enumeration():
    rng = np.random.default_rng(4)
    dead = (rng.random((50_000, 4)) < 0.4).sum(axis=1)
    expected = ((4 - dead + (dead > 0)) / 4).mean()
    assert formulas.accuracy_after_class_loss(0.4, 4) == pytest.approx(expected, abs=0.01)
    assert formulas.accuracy_after_class_loss(1, 4) == pytest.approx(1 / 4)
    assert formulas.accuracy_after_class_loss(0, 4) == 1


@pytest.mark.parametrize("count", [1, 7, 200])
def test_expected_maximum(count):
    drawn = np.random.default_rng(5).standard_normal((20_000, count)).max(axis=1)
    assert formulas.expected_maximum(count) == pytest.approx(drawn.mean(), abs=0.03)


@pytest.mark.parametrize(("density", "q"), [(1.0, 3), (0.1, 3), (0.2, 4), (0.3, 2)])
def test_the_time_to_learn_by_brute_force(density, q):
    """Neurons drawn and raced: z' = z^(q-1) from the largest live one of each class until the slowest has `level`."""
    rng, start, level, m = np.random.default_rng(6), 0.02, 0.2, 40
    z = np.where(rng.random((8_000, CLASSES, m)) < density, rng.standard_normal((8_000, CLASSES, m)), -np.inf)
    low = start * z.max(axis=2)
    low = low[(low > 0).all(axis=1)]
    path = np.geomspace(low[:100], low[:100] + level, 2001)
    by_integration = np.trapezoid(path ** (1 - q), path, axis=0).max(axis=1)
    exact = np.log((low + level) / low) if q == 2 else (low ** (2 - q) - (low + level) ** (2 - q)) / (q - 2)
    times = exact.max(axis=1)
    np.testing.assert_allclose(times[:100], by_integration, rtol=0.001)
    predicted = formulas.signal_time(density, m, CLASSES, start, level, q)
    assert predicted == pytest.approx(np.log(times).mean(), abs=4 * np.log(times).std() / np.sqrt(len(times)) + 0.005)


def test_the_time_to_learn_goes_as_the_expected_maximum_to_the_power_2_minus_q():
    """One class, many neurons, a distant level: what is left is the start of the largest of density m Gaussians."""
    dense, sparse = (formulas.signal_time(density, 400, 1, 1e-4, 1.0, 3) for density in (1.0, 0.1))
    ratio = formulas.expected_maximum(40) / formulas.expected_maximum(400)
    assert sparse - dense == pytest.approx(-math.log(ratio), abs=0.02)


def test_the_race_has_its_sign_from_the_two_growth_rates():
    """n mu^q > K (sigma_n sqrt(density d))^q; pruning helps the signal until it runs out of neurons."""
    n, mu, q = 50, 1.3, 3
    for density in (1.0, 0.1):
        expected = n * mu**q / (CLASSES * (SIGMA_N * math.sqrt(density * D)) ** q)
        assert formulas.race(CLASSES, n, D, mu, SIGMA_N, density, q) == pytest.approx(math.log(expected))
    size = (CLASSES, M, n, D, mu, SIGMA_N)
    assert formulas.race_from_maxima(*size, 1.0, q) == pytest.approx(formulas.race(CLASSES, n, D, mu, SIGMA_N, 1.0, q))
    assert formulas.race_from_maxima(*size, 0.2, q) < formulas.race(CLASSES, n, D, mu, SIGMA_N, 0.2, q)
    assert formulas.race_from_maxima(*size, 0.2, q) > formulas.race_from_maxima(*size, 1.0, q)
