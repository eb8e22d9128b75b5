"""Statistics over seeds: intervals and tests, each with a fixed seed of its own where it resamples."""

import numpy as np
from scipy import stats

RESAMPLES = 10_000


def mean_interval(values: np.ndarray, seed: int = 0, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile-bootstrap interval of the mean over axis 0 (seeds); values is [seeds, ...].

    With one seed there is nothing to resample: the interval is the value itself.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return values.mean(axis=0), values.mean(axis=0)
    result = stats.bootstrap(
        (values,),
        np.mean,
        axis=0,
        vectorized=True,
        method="percentile",
        n_resamples=RESAMPLES,
        confidence_level=level,
        rng=np.random.default_rng(seed),
        batch=500,
    )
    return result.confidence_interval.low, result.confidence_interval.high


def one_sided(values: np.ndarray, target: float = 0.0) -> tuple[float, float]:
    """p-values of t-tests over seeds: that the mean is above the target, and that it is below; values is [seeds].

    nan with fewer than two seeds; with no spread at all, the sign of the difference decides.
    """
    values = np.asarray(values, float) - target
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0] <= 0), float(values[0] >= 0)
    above = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    return float(above), float(1 - above)


def equivalence(values: np.ndarray, target: float, margin: float) -> tuple[float, float]:
    """TOST over seeds [seeds]: p-value that the mean lies within target +- margin, and that it lies outside.

    The second is twice the smaller of the two one-sided p-values of lying beyond a limit.
    """
    above_low, below_low = one_sided(values, target - margin)
    above_high, below_high = one_sided(values, target + margin)
    return max(above_low, below_high), min(1.0, 2 * min(below_low, above_high))


def every_share(successes: np.ndarray, trials: np.ndarray, target: float) -> tuple[float, float]:
    """p-values that every one of some shares is above a target, and that at least one is below it.

    successes and trials are [groups], a trial being a seed. The first is the largest of the exact binomial p-values (an
    intersection-union test), the second the smallest one times the number of groups; groups may depend on each other.
    """
    pairs = [(int(k), int(n)) for k, n in zip(successes, trials, strict=True)]
    above = max(stats.binomtest(k, n, target, alternative="greater").pvalue for k, n in pairs)
    below = min(stats.binomtest(k, n, target, alternative="less").pvalue for k, n in pairs)
    return float(above), min(1.0, float(below) * len(pairs))


def share_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share."""
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(level)
    return float(interval.low), float(interval.high)


def max_t(differences: np.ndarray, seed: int = 0) -> np.ndarray:
    """Sign-flip permutation p-values that each mean difference is above 0, adjusted for the largest over columns.

    differences is [seeds, comparisons]; whole seeds are flipped, which keeps the dependence between comparisons.
    """
    differences = np.asarray(differences, float)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(RESAMPLES, len(differences)))
    signs[0] = 1  # the data themselves are one of the permutations

    def statistics(flips: np.ndarray) -> np.ndarray:
        n = len(differences)
        means = flips @ differences / n
        variances = np.maximum((differences**2).mean(axis=0) - means**2, 1e-30) / (n - 1)
        return means / np.sqrt(variances)

    largest = statistics(signs).max(axis=1)
    observed = statistics(np.ones((1, len(differences))))[0]
    return (largest[:, None] >= observed - 1e-9).mean(axis=0)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p-values for having tested all of them; nan stays nan and does not count."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
