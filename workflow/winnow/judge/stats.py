"""Statistics over seeds: one interval, the tests, and Holm's adjustment. Every p-value but Holm's is one-sided."""

import numpy as np
from scipy import stats

LEVEL = 0.95


def mean_interval(values: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """t interval of the mean over axis 0 (seeds); values is [seeds, ...].

    The same at every number of seeds, because a percentile bootstrap of three seeds covers the mean in three cases of
    four only (tests/judge/residuals.csv). With one seed nothing is known of the spread: the interval is the value.
    """
    values = np.asarray(values, float)
    mean, n = values.mean(axis=0), len(values)
    if n < 2:
        return mean, mean
    half = stats.t.ppf((1 + level) / 2, n - 1) * standard_error(values)
    return mean - half, mean + half


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over axis 0: standard deviation / sqrt(n); values is [at least 2 seeds, ...].

    Exactly 0 where all seeds agree, whose mean may differ from them by a rounding error.
    """
    values = np.asarray(values, float)
    return np.where(np.ptp(values, axis=0) == 0, 0.0, values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def one_sided(values: np.ndarray, target: float = 0.0) -> tuple[float, float]:
    """p-values of t-tests over seeds: that the mean is above the target, and that it is below; values is [seeds].

    nan with fewer than two seeds; with no spread at all, the sign of the difference decides.
    """
    values = np.asarray(values, float) - target
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0] <= 0), float(values[0] >= 0)
    t = values.mean() / standard_error(values)
    return float(stats.t.sf(t, len(values) - 1)), float(stats.t.cdf(t, len(values) - 1))


def beyond(values: np.ndarray, margin: float) -> tuple[float, float]:
    """p-values that the mean over seeds is above +margin, and that it is below -margin: in between nothing is said."""
    return one_sided(values, margin)[0], one_sided(values, -margin)[1]


def equivalence(values: np.ndarray, target: float, margin: float) -> tuple[float, float]:
    """TOST over seeds [seeds]: p-value that the mean lies within target +- margin, and that it lies outside."""
    above_low, below_low = one_sided(values, target - margin)
    above_high, below_high = one_sided(values, target + margin)
    return max(above_low, below_high), min(below_low, above_high)


def two_samples(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float, float]:
    """Welch's interval of mean(one) - mean(other), and the p-values that it is above and below 0.

    For seeds of two experiments, which share no random stream, so that nothing is paired. nan with fewer than two
    seeds in either; with no spread in both, the sign of the difference decides.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    if min(len(one), len(other)) < 2:
        return (float("nan"),) * 4
    difference = one.mean() - other.mean()
    if np.ptp(one) == 0 and np.ptp(other) == 0:
        return difference, difference, float(difference <= 0), float(difference >= 0)
    test = stats.ttest_ind(one, other, equal_var=False, alternative="greater")
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(LEVEL)
    return float(interval.low), float(interval.high), float(test.pvalue), float(1 - test.pvalue)


def best_of(values: np.ndarray) -> tuple[int, float, float, float, float]:
    """The column with the largest mean over seeds, judged as the largest of all; values is [seeds, columns].

    Returns its index, an interval of the largest true mean, and the p-values that some column is above 0 and that all
    are below. All columns have Bonferroni's intervals at once; the largest lower and the largest upper end hold the
    largest mean, whichever column was chosen. (A permutation of so few seeds has no p-value small enough.)
    """
    values = np.asarray(values, float)
    columns = values.shape[1]
    low, high = mean_interval(values, 1 - (1 - LEVEL) / columns)
    above, below = np.array([one_sided(column) for column in values.T]).T
    best = int(values.mean(axis=0).argmax())
    return best, float(low.max()), float(high.max()), min(1.0, float(above.min()) * columns), float(below.max())


def every(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """From p-values (above, below) of several groups: that all are above, and that at least one is below.

    The first is the largest (an intersection-union test), the second Bonferroni's; groups may depend on each other.
    """
    above, below = np.array(pairs).T
    return float(above.max()), min(1.0, float(below.min()) * len(pairs))


def share(successes: int, trials: int, target: float) -> tuple[float, float]:
    """Exact binomial p-values that a share is above a target, and that it is below."""
    tests = (stats.binomtest(int(successes), int(trials), target, alternative=a) for a in ("greater", "less"))
    above, below = (float(test.pvalue) for test in tests)
    return above, below


def share_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper-Pearson interval of a share."""
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(level)
    return float(interval.low), float(interval.high)


def two_sided(p_for: np.ndarray, p_against: np.ndarray) -> np.ndarray:
    """Twice the smaller of two opposite one-sided p-values, at most 1; nan where one of them is."""
    return np.minimum(1.0, 2 * np.minimum(p_for, p_against))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p-values for having tested all of them; nan stays nan and does not count."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
