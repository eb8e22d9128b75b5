"""The paper's formulas as functions: scales, bounds and predicted boundaries of the K-class model (section 2).

Symbols: K classes, m neurons per class, n examples, d coordinates, mu signal length, sigma_n noise per coordinate,
sigma_0 initial weights, q power of the activation, density = share of weights kept. Constants hidden in O() are 1
unless a function says otherwise.
"""

import math
from functools import cache

import numpy as np

RISK = 0.05  # accepted probability that some class starts without a live signal neuron
C1 = 1.0  # of Theorem 3's smallest density, C1 log d / m
EVENT_CONSTANT = 2.0  # of Lemma 8's exponent: that of a Gaussian tail, the smallest for which its bound can hold at all


def noise_scale(sigma_0: float, sigma_n: float, density: float, d: int) -> float:
    """sigma_0 sigma_n sqrt(density d): the size of <w(0), xi> for one neuron, and of zeta and omega (Theorem 3)."""
    return sigma_0 * sigma_n * np.sqrt(density * d)


def feature_scale(m: int, q: int) -> float:
    """m^(-1/q): what max gamma (mild pruning, Theorem 3) or max zeta (over-pruning, Theorem 9) must reach."""
    return m ** (-1 / q)


def noise_bounds(classes: int, m: int, d: int, sigma_0: float, sigma_n: float, density: float) -> tuple[float, float]:
    """Lemma 4: lower and upper bound of max_r <w_jr(0), xi_i>, for all classes j and examples i at once."""
    scale = noise_scale(sigma_0, sigma_n, density, d)
    return scale, np.sqrt(2 * np.log(classes * m * d)) * scale


def signal_bounds(classes: int, m: int, d: int, sigma_0: float, mu: float, density: float) -> tuple[float, float]:
    """Lemma 4: lower and upper bound of max <w_jr(0), mu_j> over the signal neurons of a class.

    The lemma asks for density m >= log(K d); below it both bounds may fail, and the upper one is nan where its
    logarithm is negative.
    """
    log = np.log(8 * density * m * classes * d)
    return sigma_0 * mu / 2, np.sqrt(2 * log) * sigma_0 * mu if log >= 0 else math.nan


def event_bound(
    classes: int,
    m: int,
    d: int,
    sigma_0: float,
    sigma_n: float,
    density: float,
    threshold: float,
) -> float:
    """Lemma 8's bound of P(some <w, xi> >= threshold) for its threshold, `TwoLayerNetwork.event_threshold`.

    2 K m exp(-threshold^2 / (EVENT_CONSTANT sigma_0^2 sigma_n^2 density d)), which may exceed 1.
    """
    variance = EVENT_CONSTANT * noise_scale(sigma_0, sigma_n, density, d) ** 2
    return 2 * classes * m * np.exp(-(threshold**2) / variance)


def class_loss_probability(density: float, m: int) -> float:
    """(1 - density)^m: the probability that one class keeps no signal neuron."""
    return (1 - density) ** m


def dead_class_probability(density: float, m: int) -> float:
    """(1 - density/2)^m: the probability that no neuron both keeps the signal and starts with <w, mu> > 0.

    A neuron that starts with <w, mu> <= 0 has derivative 0 at the signal and never learns it (our refinement).
    """
    return (1 - density / 2) ** m


def mild_density(m: int, d: int) -> float:
    """C1 log d / m, at most 1: the smallest density of Theorem 3 (p. 8)."""
    return min(1.0, C1 * math.log(d) / m)


def live_density(classes: int, m: int) -> float:
    """The density with K (1 - density/2)^m = RISK, at most 1: below it a class may start without a live neuron."""
    return min(1.0, 2 * (1 - (RISK / classes) ** (1 / m)))


def theorem_density(classes: int, m: int, d: int) -> float:
    """1/(K m log d): the over-pruned density of Theorem 9."""
    return 1 / (classes * m * math.log(d))


@cache
def _normal_distribution() -> tuple[np.ndarray, np.ndarray]:
    z = np.linspace(-8, 8, 3201)
    return z, np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in z])


def expected_maximum(count: float) -> float:
    """E max of `count` >= 1 independent standard normals, by integrating its distribution; need not be an integer."""
    z, below = _normal_distribution()
    return float(z[-1] - np.trapezoid(below**count, z))


def signal_time(density: float, m: int, classes: int, start: float, level: float, q: int) -> float:
    """E log of the time until every class has a neuron whose gamma is `level`, up to a constant that density leaves.

    Before any class is learned, <w, mu> grows like z' = z^(q-1) from z(0) = start Z, start = sigma_0 mu, so a neuron
    takes the integral of z^(1-q) from z(0) to z(0) + level. Z is the largest of a class's signal neurons, of which each
    of m is there with probability density: P(Z <= z) = (1 - density + density Phi(z))^m. The slowest class decides.
    Classes without a live neuron (Z <= 0) never learn and are left out, as `learning_times` leaves them out.
    """
    z, below = _normal_distribution()
    all_above = (1 - (1 - density + density * below) ** m) ** classes  # P(every class has Z > z)
    middles, shares = (z[1:] + z[:-1]) / 2, -np.diff(all_above)
    live = middles > 0
    x = start * middles[live]
    times = np.log((x + level) / x) if q == 2 else (x ** (2 - q) - (x + level) ** (2 - q)) / (q - 2)
    return float(np.average(np.log(times), weights=shares[live]))


def race(classes: int, n: int, d: int, mu: float, sigma_n: float, density: float, q: int) -> float:
    """log of n mu^q / (K (sigma_n sqrt(density d))^q): positive where the signal wins the race against memorizing.

    From the early dynamics, in which both <w, mu> and <w, xi_i> grow like z' = rate z^(q-1) and the first to blow up
    wins; q > 2 (a heuristic of ours, not the paper's).
    """
    return math.log(n / classes) + q * (math.log(mu) - math.log(sigma_n) - math.log(density * d) / 2)


def race_from_maxima(classes: int, m: int, n: int, d: int, mu: float, sigma_n: float, density: float, q: int) -> float:
    """`race` corrected for where the largest neurons start.

    The signal has density m neurons to choose from, a noise patch m, so the starts differ by the ratio of expected
    maxima, to the power q - 2. With fewer than one and a half signal neurons the maximum is that of 1.5.
    """
    starts = expected_maximum(max(density * m, 1.5)) / expected_maximum(m)
    return race(classes, n, d, mu, sigma_n, density, q) + (q - 2) * math.log(starts)


def accuracy_after_class_loss(lost: float, classes: int) -> float:
    """Expected test accuracy when every class has lost its signal with probability `lost`, independently.

    Examples of the classes that learned are right. The others look like none of those, which leaves a guess among the
    D classes that lost theirs: E[(K - D + 1{D > 0}) / K] = 1 - lost + (1 - (1 - lost)^K) / K (a heuristic of ours).
    """
    return 1 - lost + (1 - (1 - lost) ** classes) / classes
