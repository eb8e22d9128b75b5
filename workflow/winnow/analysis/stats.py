"""Statistics over seeds: one interval, the tests, and Holm's adjustment. Every p-value but Holm's is one-sided.

Seeds that agree by chance say nothing of how far seeds scatter, and errors are counts, so that a few seeds with small
test sets often agree. A test or interval that needs a spread and has none is nan: not judged. Where a value is a share
of examples, `floor` knows more: no seed's value scatters less than the count that it is (`least_deviation`).
"""

import numpy as np
from scipy import stats

from ..files import rounded

LEVEL = 0.95
ROUNDING = 1e-12  # of the largest value: seeds that differ by less differ by how a sum was rounded


def numbers(values: object) -> np.ndarray:
    """The values of seeds as they count, float64: what comes of them is made of rounded numbers."""
    return rounded(np.asarray(values, float))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The least-squares slope of y on x, of rounded numbers and by sums alone: LAPACK's bits are the processor's."""
    x, y = numbers(x), numbers(y)
    far = x - x.mean()
    return float((far * y).sum() / (far * far).sum())


def polynomial(x: np.ndarray, y: np.ndarray, degree: int) -> np.ndarray:
    """The least-squares polynomial of y on x, at x, through orthogonal polynomials; by sums alone, as `slope`."""
    basis, fitted = [], np.zeros(len(x))
    for _ in range(degree + 1):
        power = x * basis[-1] if basis else np.ones(len(x))
        for other in basis:
            power = power - (power * other).sum() / (other * other).sum() * other
        basis.append(power)
        fitted += (power * y).sum() / (power * power).sum() * power
    return fitted


def least_deviation(shares: np.ndarray, examples: float) -> np.ndarray:
    """The least standard deviation of one seed's share of its test examples; shares is [seeds, ...], nan examples: 0.

    A share p, as an error rate, has at least the binomial one, sqrt(p (1 - p) / examples). So has a difference p of
    two shares of the same examples, as of a pruned and the dense network of a seed: an example counts +1, 0 or -1, and
    with mean p its variance is at least |p| - p^2, as if all examples that differ did so in one direction. p is
    (k + 2) / (N + 4) over all seeds (Agresti and Coull 1998), so that no error at all is no certainty. Seeds may
    scatter more, through their weights and training data; never less.

    A mean over fractions is taken for one share, as if the same examples differed at each. Where others do, it scatters
    less: this errs on the cautious side.
    """
    shares = np.asarray(shares, float)
    if not len(shares):
        return np.zeros(shares.shape[1:])[()]
    total = len(shares) * examples
    share = (np.abs(shares.mean(axis=0)) * total + 2) / (total + 4)
    return np.nan_to_num(np.sqrt(share * (1 - share) / examples))


def deviation(values: np.ndarray, floor: float | np.ndarray = 0.0) -> np.ndarray:
    """Standard deviation of one seed's value over axis 0, at least `floor`; nan where it cannot be told.

    It cannot of one seed, nor where all seeds agree and nothing is known of their least deviation.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    agree = np.ptp(values, axis=0) <= ROUNDING * np.abs(values).max(axis=0)
    found = np.maximum(np.where(agree, 0, values.std(axis=0, ddof=1)), floor)
    return np.where(found > 0, found, np.nan)[()]


def standard_error(values: np.ndarray, floor: float | np.ndarray = 0.0) -> np.ndarray:
    """Standard error of the mean over axis 0 (seeds): `deviation` / sqrt(n)."""
    return deviation(values, floor) / np.sqrt(max(len(values), 1))


def mean_interval(
    values: np.ndarray, level: float = LEVEL, floor: float | np.ndarray = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """t interval of the mean over axis 0 (seeds); values is [seeds, ...]; nan where their spread cannot be told.

    The same at every number of seeds, because a percentile bootstrap of three seeds covers the mean in three cases of
    four only (tests/analysis/residuals.csv).
    """
    mean = np.mean(values, axis=0)
    half = stats.t.ppf((1 + level) / 2, max(len(values) - 1, 1)) * standard_error(values, floor)
    return mean - half, mean + half


def one_sided(
    values: np.ndarray, target: float = 0.0, floor: float | np.ndarray = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """p-values of t-tests over seeds: that the mean is above the target, and that it is below; values is [seeds, ...].

    nan where the spread of the seeds cannot be told.
    """
    if not len(values):
        return float("nan"), float("nan")
    t, freedom = (np.mean(values, axis=0) - target) / standard_error(values, floor), max(len(values) - 1, 1)
    return stats.t.sf(t, freedom), stats.t.cdf(t, freedom)


def beyond(values: np.ndarray, margin: float, floor: float = 0.0) -> tuple[float, float]:
    """p-values that the mean over seeds is above +margin, and that it is below -margin: in between nothing is said."""
    return one_sided(values, margin, floor)[0], one_sided(values, -margin, floor)[1]


def equivalence(values: np.ndarray, target: float, margin: float, floor: float = 0.0) -> tuple[float, float]:
    """TOST over seeds [seeds]: p-value that the mean lies within target +- margin, and that it lies outside."""
    above_low, below_low = one_sided(values, target - margin, floor)
    above_high, below_high = one_sided(values, target + margin, floor)
    return max(above_low, below_high), min(below_low, above_high)


def two_samples(
    one: np.ndarray, other: np.ndarray, floors: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float, float, float]:
    """Welch's interval of mean(one) - mean(other), and the p-values that it is above and below 0.

    For seeds of two experiments, which share no random stream, so that nothing is paired; `floors` are theirs. nan
    where the spread of either cannot be told.
    """
    samples = [np.asarray(one, float), np.asarray(other, float)]
    if not all(map(len, samples)):
        return (float("nan"),) * 4
    variances = np.array([standard_error(*pair) ** 2 for pair in zip(samples, floors, strict=True)])
    freedom = variances.sum() ** 2 / sum(v**2 / max(len(s) - 1, 1) for v, s in zip(variances, samples, strict=True))
    difference, error = samples[0].mean() - samples[1].mean(), np.sqrt(variances.sum())
    half, t = stats.t.ppf((1 + LEVEL) / 2, freedom) * error, difference / error
    ends = (difference - half, difference + half, stats.t.sf(t, freedom), stats.t.cdf(t, freedom))
    return tuple(map(float, ends))


def best_of(values: np.ndarray, floor: float | np.ndarray = 0.0) -> tuple[int, float, float, float, float]:
    """The column with the largest mean over seeds, judged as the largest of all; values is [seeds, columns].

    Returns its index, an interval of the largest true mean, and the p-values that some column is above 0 and that all
    are below; nan where the spread of a column cannot be told. All columns have Bonferroni's intervals at once; the
    largest lower and the largest upper end hold the largest mean, whichever column was chosen. (A permutation of so few
    seeds has no p-value small enough.)
    """
    values = np.asarray(values, float)
    columns = values.shape[1]
    low, high = mean_interval(values, bonferroni(columns), floor)
    above, below = one_sided(values, 0.0, floor)
    best = int(values.mean(axis=0).argmax())
    some_above = np.minimum(1.0, above.min() * columns)  # Python's min would make 1 of nan
    return best, float(low.max()), float(high.max()), float(some_above), float(below.max())


def every(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """From p-values (above, below) of several groups: that all are above, and that at least one is below.

    The first is the largest (an intersection-union test), the second Bonferroni's; groups may depend on each other.
    nan where one group was not judged.
    """
    above, below = np.array(pairs).T
    return float(above.max()), float(np.minimum(1.0, below.min() * len(pairs)))


def share(successes: int, trials: int, target: float) -> tuple[float, float]:
    """Exact binomial p-values that a share is above a target, and that it is below."""
    tests = (stats.binomtest(int(successes), int(trials), target, alternative=a) for a in ("greater", "less"))
    above, below = (float(test.pvalue) for test in tests)
    return above, below


def share_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper-Pearson interval of a share."""
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(level)
    return float(interval.low), float(interval.high)


def bonferroni(count: int) -> float:
    """The level of each of some intervals that are to hold all at once."""
    return 1 - (1 - LEVEL) / count


def least_interval(intervals: list[tuple[float, float]]) -> tuple[float, float]:
    """An interval of the least of several true values, whichever that is, from intervals that hold all at once."""
    low, high = np.array(intervals, float).T
    return float(low.min()), float(high.min())


def smallest(p: list[float]) -> float:
    """The smallest of the p-values of answers that exclude each other, adjusted for their number; nan where one is."""
    return float(np.minimum(1.0, len(p) * np.min(p)))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p-values for having tested all of them; nan stays nan and does not count."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
