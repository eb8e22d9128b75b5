"""The paper's formulas as functions: scales, bounds and predicted boundaries of the K-class model (section 2).

Symbols: K classes, m neurons per class, n examples, d coordinates, mu signal length, sigma_n noise per coordinate,
sigma_0 initial weights, q power of the activation, density = share of weights kept. Constants hidden in O() are 1.
"""

import math
from functools import cache

import numpy as np

from ..two_layer.settings import TwoLayerSettings

RISK = 0.05  # accepted probability that some class loses its signal, which bounds the mild range
POLYLOG_DEGREE = 3  # Condition 2 allows n = poly log d; the largest degree that counts as one here


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
    classes: int, m: int, d: int, sigma_0: float, sigma_n: float, density: float, threshold: float, constant: float = 1
) -> float:
    """Lemma 8's bound of P(some <w, xi> >= threshold) for its threshold, `TwoLayerNetwork.event_threshold`.

    2 K m exp(-threshold^2 / (constant sigma_0^2 sigma_n^2 density d)), which may exceed 1.
    """
    variance = constant * noise_scale(sigma_0, sigma_n, density, d) ** 2
    return 2 * classes * m * np.exp(-(threshold**2) / variance)


def class_loss_probability(density: float, m: int) -> float:
    """(1 - density)^m: the probability that one class keeps no signal neuron."""
    return (1 - density) ** m


def dead_class_probability(density: float, m: int) -> float:
    """(1 - density/2)^m: the probability that no neuron both keeps the signal and starts with <w, mu> > 0.

    A neuron that starts with <w, mu> <= 0 has derivative 0 at the signal and never learns it (our refinement).
    """
    return (1 - density / 2) ** m


def mild_density(classes: int, m: int, risk: float = RISK) -> float:
    """delta*, the smallest mild density: K (1 - delta*)^m = risk."""
    return 1 - (risk / classes) ** (1 / m)


def live_density(classes: int, m: int, risk: float = RISK) -> float:
    """The density with K (1 - density/2)^m = risk, at most 1: below it a class may start without a live neuron."""
    return min(1.0, 2 * mild_density(classes, m, risk))


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


def condition2_violations(settings: TwoLayerSettings) -> list[str]:
    """The items of Condition 2 (p. 7) that these settings break, with hidden constants 1 and eps <= 1/d.

    sigma_0 <= 1/(m^4 n mu) cannot be met: a run would need about 10^9 steps.
    """
    data, model, training = settings.data, settings.model, settings.training
    log, snr = math.log(data.dimension), data.signal_norm / (data.sigma_n * math.sqrt(data.dimension))
    items = {
        "K <= log d": data.classes <= log,
        f"n <= (log d)^{POLYLOG_DEGREE}": data.n_train <= log**POLYLOG_DEGREE,
        "mu >= sigma_n sqrt(d) log d": snr >= log,
        "m >= log d": model.width >= log,
        "sigma_0 <= m^-4 n^-1 mu^-1": model.init_std <= 1 / (model.width**4 * data.n_train * data.signal_norm),
        "eta <= mu^-2": training.learning_rate <= data.signal_norm**-2,
        "eps <= 1/d": training.eps is not None and training.eps <= 1 / data.dimension,
    }
    return [item for item, holds in items.items() if not holds]


def accuracy_after_class_loss(lost: float, classes: int) -> float:
    """Expected test accuracy when every class has lost its signal with probability `lost`, independently.

    Examples of the classes that learned are right. The others look like none of those, which leaves a guess among the
    D classes that lost theirs: E[(K - D + 1{D > 0}) / K] = 1 - lost + (1 - (1 - lost)^K) / K (a heuristic of ours).
    """
    return 1 - lost + (1 - (1 - lost) ** classes) / classes
