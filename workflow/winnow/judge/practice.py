"""What the runs on real images say about the paper's claims from practice. Each rule stands here with its reason.

The unit is the seed and every comparison is paired: a pruned network against the dense network of the same seed (the
same images held out, the same initial weights, the same order of examples). Accuracies are in percent.

A run that diverged has no accuracy: it is in no mean. To the claims a pruned network that diverged is one that guesses;
where the dense one did, nothing can be compared with it, and its seed is left out.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from ..analysis import stats
from ..analysis.selection import COMPETITIVE, Regime, gains, needed, to_judge, whole, with_dense
from ..analysis.stats import slope
from ..catalogue import EXPERIMENTS, Asked
from ..errors import WinnowError
from ..images.methods import AFTER_TRAINING
from ..randomness import Stream
from .evidence import PAIRED, Claim, Evidence, best_evidence, mean_evidence
from .rules import answers, or_not_run

RANDOM, IMP, DENSE = "bernoulli", "imp", "dense"
FITTED = 99.5  # percent of the training examples
DROPS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)  # points below the dense network
MEASURED = 3  # standard errors of a mean drop: smaller drops are not told from none
SIMULATIONS = 400  # of curves with equal knees


def practice_claims(experiments: dict[str, Regime]) -> list[Claim]:
    """The claims from practice; those that lack an experiment are not run. No theorem is behind them.

    `{}` in the id of a claim is the ending that the catalogue gives its experiment.
    """

    def judge(rule: Callable, name: str, asked: Asked) -> list[Claim]:
        found = rule(to_judge(needed(experiments, name, "data", asked.swept).table), name, asked)
        return [replace(claim, id=claim.id.format(asked.ending)) for claim in found]

    found = []
    for name, asked in EXPERIMENTS.items():
        for rule in (rule for key in asked.judged for rule in RULES.get(key, ())):
            if name in experiments or not asked.optional:
                ids = [claim.format(asked.ending) for claim in rule.ids]
                found += or_not_run(ids, name, partial(judge, rule, name, asked))
    return found


def competitive(other: str, rows: pd.DataFrame, name: str, asked: Asked) -> Claim:
    """Random pruning is competitive up to the sparsity that the paper names, and no longer beyond it.

    With `imp`, which the paper's figure shows, or with the dense network. "Up to" has two halves, so that the claim can
    fail on either side: no fraction up to it is more than COMPETITIVE points worse, and some later one is.
    """
    named, random = asked.competitive, pruned_by(RANDOM, rows)
    wide = whole(over_imp(rows) if other == IMP else gains(random))
    later = wide.loc[:, wide.columns > named + 0.001]
    found = competitive_evidence(wide, later, _floor(wide, rows))
    worst = f"smallest mean there {later.mean().min():.2g}, at {later.mean().idxmin():.2g}"
    return Claim(
        "",
        _regime(rows, name),
        statement=f"randomly pruned networks test within {COMPETITIVE:g} points of {other} at every fraction up to"
        f" {named:g}, and not at some later one ({worst}){_diverged(random)}",
        statistic=f"random minus {other} test accuracy, points, worst fraction up to {named:g}",
        test=f"{PAIRED} at every fraction, against -{COMPETITIVE:g}",
        found=found,
    )


def pruned_by(method: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The runs of a method. Raises WinnowError where there are none."""
    if method not in set(rows.method):
        raise WinnowError(f"needs runs of method {method}")
    return rows[rows.method == method]


def over_imp(rows: pd.DataFrame) -> pd.DataFrame:
    """Random minus `imp` test accuracy of the same seed and fraction, points, as [seed, fraction > 0]."""
    random, imp = (with_dense(pruned_by(method, rows), "test_accuracy") for method in (RANDOM, IMP))
    return (random - imp).drop(columns=0.0).dropna(axis=1, how="all")


def competitive_evidence(gaps: pd.DataFrame, later: pd.DataFrame, floor: pd.Series) -> Evidence:
    """Evidence that no gap [seed, fraction] is below -COMPETITIVE but at some of the later fractions.

    Raises WinnowError where there is no fraction on either side. Shown is the smallest mean of the others.
    """
    early = gaps.columns.difference(later.columns)
    if not len(early) or later.empty:
        raise WinnowError(
            f"fractions {', '.join(f'{f:g}' for f in gaps)}: some must lie on either side of the named one"
        )
    tests = {f: stats.one_sided(gaps[f].to_numpy(), -COMPETITIVE, floor[f]) for f in gaps}
    all_within, one_worse = stats.every([tests[f] for f in early])
    none_worse, some_worse = stats.every([tests[f] for f in later])
    level = stats.bonferroni(len(early))
    low, high = stats.least_interval([stats.mean_interval(gaps[f].to_numpy(), level, floor[f]) for f in early])
    p_against = stats.smallest([one_worse, none_worse])  # it may fail in two ways
    return Evidence(float(gaps[early].mean().min()), low, high, len(gaps), max(all_within, some_worse), p_against)


def knees(accuracy: pd.Series) -> np.ndarray:
    """The fractions at which an accuracy by fraction, percent, has dropped by each of DROPS; inf where it never has.

    Of its isotonic fit, because the first crossing of a curve with errors comes too early, the earlier the larger these
    are. Linear in -log(density) between two fractions.
    """
    x = -np.log1p(-accuracy.index.to_numpy(float))
    fit = isotonic_regression(accuracy.to_numpy(float), increasing=False).x
    found = []
    for level in fit[0] - np.array(DROPS):
        k = int(np.argmax(fit <= level)) if fit[-1] <= level else 0
        share = (fit[k - 1] - level) / (fit[k - 1] - fit[k]) if k else 0.0
        found.append(-np.expm1(-(x[k - 1] + (x[k] - x[k - 1]) * share)) if k else np.inf)
    return np.array(found)


def knee_differences(train: pd.Series, test: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Training minus test knee at each of DROPS, and which of the two lie beyond the last fraction [train or test,
    drop].

    Such a knee is taken for the last fraction: the difference then is a bound.
    """
    found = np.array([knees(train), knees(test)])
    beyond = np.isinf(found)
    return np.subtract(*np.where(beyond, train.index[-1], found)), beyond


def knee_bias(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """What `knee_differences` are on average where the knees are equal: the noisier curve has another knee.

    Both curves are given one mean curve and errors with their own covariance over fractions and splits.
    """
    n, both = len(train), pd.concat([train, test], axis=1).to_numpy()
    k = train.shape[1]
    drops = both - np.repeat(both[:, [0, k]], k, axis=1)
    shared = isotonic_regression(drops.mean(axis=0).reshape(2, k).mean(axis=0), increasing=False).x
    residuals = (both - both.mean(axis=0)) / np.sqrt(n * (n - 1))
    found = []
    for draws in Stream(0).normals(SIMULATIONS * n).reshape(SIMULATIONS, n):
        one, other = (draws @ residuals).reshape(2, k) + shared
        found.append(knee_differences(pd.Series(one, train.columns), pd.Series(other, train.columns))[0])
    return np.mean(found, axis=0)


def told_drops(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Which of DROPS say something of the knees of accuracies [seed, fraction], as their places in it.

    One that neither curve reaches says nothing; nor does one of the size of the errors of a mean, whose knee lies
    anywhere on a flat curve. These errors are those of either curve at the two fractions that its knee lies between, or
    at the last two if it lies beyond: what a curve does elsewhere moves no knee. (The error at the largest fraction,
    where networks scatter most, would leave out drops whose knees lie where seeds still agree.)
    """
    largest = np.max([_errors_at_knees(train), _errors_at_knees(test)], axis=0)
    _, beyond = knee_differences(train.mean(), test.mean())
    return np.flatnonzero(~beyond.all(axis=0) & (np.array(DROPS) >= MEASURED * largest))


def _errors_at_knees(wide: pd.DataFrame) -> np.ndarray:
    """The larger standard error of a mean drop at the fractions that each of DROPS' knees lies between; one seed: 0."""
    errors = np.nan_to_num(stats.standard_error(wide.sub(wide[0.0], axis=0).to_numpy()))
    after = np.minimum(wide.columns.searchsorted(knees(wide.mean()) - 1e-9), wide.shape[1] - 1)
    return np.maximum(errors[after], errors[after - 1])


def knee_evidence(train: pd.DataFrame, test: pd.DataFrame) -> Evidence:
    """Evidence that training accuracy drops later than test accuracy, at every one of DROPS; both are [seed, fraction].

    A knee beyond the last fraction is a bound: the difference is at least, or at most, what it would be there. Drops
    that say nothing are left out (`told_drops`). The difference at each drop is that of the means over seeds, less its
    bias where knees are equal; its error is the jackknife's, its band simultaneous (Bonferroni). Shown is the smallest
    difference.
    """
    n, told = len(train), told_drops(train, test)
    if n < 2 or not len(told):
        return Evidence(n=n)
    difference, beyond = knee_differences(train.mean(), test.mean())
    left_out = [knee_differences(train.drop(seed).mean(), test.drop(seed).mean()) for seed in train.index]
    values = n * difference - (n - 1) * np.array([one for one, _ in left_out])  # [seed, drop]
    values += difference - values.mean(axis=0) - knee_bias(train, test)
    train_ends, test_ends = np.any([beyond, *(one for _, one in left_out)], axis=0)
    level, above, below, bands = stats.bonferroni(len(told)), [], [], []
    for drop in told:
        p_above, p_below = stats.one_sided(stats.numbers(values[:, drop]))
        above.append(1.0 if test_ends[drop] else p_above)
        below.append(1.0 if train_ends[drop] else p_below)
        low, high = stats.mean_interval(stats.numbers(values[:, drop]), level)
        bands.append((-np.inf if test_ends[drop] else low, np.inf if train_ends[drop] else high))
    p_for = np.minimum(1.0, np.max(above) * len(told))  # the whole band, so that it and the verdict are one
    return Evidence(
        float(values[:, told].mean(axis=0).min()), *stats.least_interval(bands), n, float(p_for), stats.smallest(below)
    )


@answers("practice-knee{}")
def knee(rows: pd.DataFrame, name: str, asked: Asked) -> Claim:
    """The training error decreases later than the testing error (p. 13): with growing sparsity its accuracy drops
    later.

    Raises WinnowError where runs stop at a train loss, because their training accuracy is what that loss makes it; and
    where the dense network has not fitted (FITTED), because its training accuracy is what the epochs make it.
    """
    random = pruned_by(RANDOM, rows)
    if (random.status == "converged").any():
        raise WinnowError(f"needs runs of a fixed number of epochs: training.eps of `{name}` must be null")
    train, test = (whole(with_dense(random, f"{split}_accuracy")) for split in ("train", "test"))
    if (fitted := train[0.0].mean()) < FITTED:
        raise WinnowError(f"needs a dense network that fits {FITTED:g} % of the training set; it fits {fitted:.1f} %")
    found = knee_evidence(train, test)
    told = ", ".join(f"{DROPS[drop]:g}" for drop in told_drops(train, test)) or "no measurable number of"
    statistic = f"pruned fraction at which accuracy has dropped by {told} points, training minus test"
    return Claim(
        "",
        _regime(rows, name),
        statement=f"with growing sparsity, training accuracy drops later than test accuracy{_diverged(random)}",
        statistic=f"{statistic}, smallest difference",
        test="t-tests of jackknife values, Bonferroni over drops",
        found=found,
    )


@answers("practice-boost")
def boost(rows: pd.DataFrame, name: str, asked: Asked) -> Claim:
    """Pruning at initialization sometimes boosts test performance (abstract): the best method and fraction.

    Judged as the best of all (Bonferroni over methods and fractions, for the interval too), but for those that train
    before they prune. Raises WinnowError where there are no others.
    """
    found = {method: gains(part) for method, part in rows.groupby("method") if method not in AFTER_TRAINING}
    if not found:
        raise WinnowError(f"needs runs of another method than {' and '.join(AFTER_TRAINING)}")
    wide = whole(pd.concat(found, axis=1))
    method, fraction = wide.mean().idxmax()
    return _boost(rows, wide, f"{method} at fraction {fraction:g}", "some method at some fraction", name)


def _boost(rows: pd.DataFrame, wide: pd.DataFrame, best: str, what: str, name: str) -> Claim:
    return Claim(
        "",
        _regime(rows, name),
        statement=f"{what}, pruning at initialization, tests better than the dense network{_diverged(rows)}",
        statistic=f"largest mean gain, points ({best})",
        test=f"{PAIRED}, Bonferroni over {wide.shape[1]} columns",
        found=best_evidence(wide.to_numpy(), _floor(wide, rows).to_numpy()),
    )


@answers("practice-boost-noisy", "practice-noise")
def noise(rows: pd.DataFrame, name: str, asked: Asked) -> list[Claim]:
    """Where pixels are noisy: whether random pruning gains at all, and whether it gains more the noisier they are.

    Pruning removes noise (section 3), so it should. What is measured is an interaction: noise lowers the dense
    network's accuracy too, and so leaves more to gain by anything.
    """
    parts = {sigma: whole(gains(part)) for sigma, part in rows.groupby("sigma")}
    noisy = {sigma: wide for sigma, wide in parts.items() if sigma > 0}
    if not noisy:
        raise WinnowError(f"needs a `sigma` above 0 in the runs of `{name}`")
    wide = whole(pd.concat(noisy, axis=1))
    sigma, fraction = wide.mean().idxmax()
    best = f"noise {sigma:g} at fraction {fraction:g}"
    return [
        _boost(rows, wide, best, "where pixels are noisy, some fraction of random", name),
        Claim(
            "",
            _regime(rows, name),
            statement="random pruning gains more (or loses less) where pixels are noisier, for whatever reason: noise"
            f" also leaves more to gain{_diverged(rows)}",
            statistic="slope of the gain over dense, mean over fractions, on the noise's standard deviation, points",
            test=PAIRED,
            found=mean_evidence(_slopes(parts)),
        ),
    ]


def _slopes(parts: dict[float, pd.DataFrame]) -> list[float]:
    """The slope of every seed's mean gain on a key, from its gains [seed, fraction] by the key's value."""
    by_seed = pd.concat(parts, names=["key"]).groupby("seed")
    return [slope(part.index.get_level_values("key"), part.mean(axis=1)) for _, part in by_seed if len(part) > 1]


@answers("practice-width")
def width(rows: pd.DataFrame, name: str, asked: Asked) -> Claim:
    """Random pruning costs less the wider the network is: the theory's threshold is one of overparameterization.

    At the same fractions the wider network keeps more weights. Widths are taken in logarithms, because they grow by
    factors; the mean is over the pruned fractions, of which no single one has to be the threshold.

    Raises WinnowError where the runs are of one width.
    """
    parts = {np.log2(width): whole(gains(part)) for width, part in rows.groupby("width")}
    if len(parts) < 2:
        raise WinnowError(f"needs two widths at least in the runs of `{name}`")
    return Claim(
        "",
        _regime(rows, name),
        statement=f"random pruning costs less accuracy the wider the network is{_diverged(rows)}",
        statistic="slope of the gain over dense, mean over fractions, on log2 of the width, points a doubling",
        test=PAIRED,
        found=mean_evidence(_slopes(parts)),
    )


RULES = {
    "competitive": (
        answers("practice-random{}")(partial(competitive, IMP)),
        answers("practice-random-dense{}")(partial(competitive, DENSE)),
    ),
    "knee": (knee,),
    "width of networks": (width,),
    "boost": (boost,),
    "noise": (noise,),
}
"""The rules, as the catalogue calls them."""


def _floor(gains: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """The least standard deviation of a seed's gain in test accuracy, points, by column."""
    least = stats.least_deviation(gains.to_numpy() / 100, rows.test_examples.iloc[0])
    return pd.Series(100 * least, gains.columns)


def _diverged(rows: pd.DataFrame) -> str:
    count = int((rows.status == "diverged").sum())
    said = f" ({count} of {len(rows)} runs diverged: pruned ones guess, dense ones leave their seeds out)"
    return said if count else ""


def _regime(rows: pd.DataFrame, experiment: str) -> str:
    return f"{experiment} ({rows['data'].iloc[0]})"
