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

from ..analysis import stats
from ..analysis.selection import COMPETITIVE, Regime, gains, needed, to_judge, whole, with_dense
from ..analysis.stats import slope
from ..catalogue import EXPERIMENTS, Asked
from ..errors import WinnowError
from ..images.methods import AFTER_TRAINING
from .evidence import PAIRED, Claim, Evidence, best_evidence, mean_evidence
from .rules import answers, or_not_run

RANDOM, IMP, DENSE = "bernoulli", "imp", "dense"
ALIKE = 0.001  # fractions that differ by less are one: the paper's levels have more digits than the one that it names
FITTED = 99.5  # percent of the training examples
FOLLOWED = 3.0  # points below dense: it is asked which of two accuracies drops later until both have by more
SEEN = 1.0  # points that one of them must have dropped by until then


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
    later = wide.columns > named + ALIKE
    if not later.any() or not (abs(wide.columns - named) <= ALIKE).any():
        there = ", ".join(f"{f:g}" for f in wide)
        raise WinnowError(f"fractions {there}: needs the one that the claim names, {named:g}, and later ones")
    early, later = wide.loc[:, ~later], wide.loc[:, later]
    worst = f"smallest mean there {later.mean().min():.2g}, at {later.mean().idxmin():.2g}"
    return Claim(
        "",
        _regime(rows, name),
        statement=f"randomly pruned networks test within {COMPETITIVE:g} points of {other} at every fraction up to"
        f" {named:g}, and not at some later one ({worst}){told_diverged(random)}",
        statistic=f"random minus {other} test accuracy, points, worst fraction up to {named:g}",
        test=f"{PAIRED} at every fraction, against -{COMPETITIVE:g}",
        found=margin_evidence(early, later, _floor(wide, rows)),
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


def margin_evidence(within: pd.DataFrame, worse: pd.DataFrame, floor: pd.Series) -> Evidence:
    """Evidence that no gap of one table is below -COMPETITIVE, and that some gap of another is.

    Gaps are [seed, fraction], in points, and the least deviation of a seed's gap is by fraction. Shown is the smallest
    mean of the first table.
    """
    (all_within, one_worse), (none_worse, some_worse) = (
        stats.every([stats.one_sided(gaps[f].to_numpy(), -COMPETITIVE, floor[f]) for f in gaps])
        for gaps in (within, worse)
    )
    level = stats.bonferroni(within.shape[1])
    low, high = stats.least_interval([stats.mean_interval(within[f].to_numpy(), level, floor[f]) for f in within])
    p_against = stats.smallest([one_worse, none_worse])  # it may fail in two ways
    return Evidence(float(within.mean().min()), low, high, len(within), max(all_within, some_worse), p_against)


def lead(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """How much more the first of two accuracies has dropped than the second, points; all are [seed, fraction].

    Each drops from that of its own dense network. At the fractions before the first one at which both are shown to have
    dropped by more than FOLLOWED: at the largest ones all networks guess, and the better one drops most. (By their
    means alone, a fraction would be left out by chance where the claim fails, more often than a test may err.)

    Raises WinnowError where no drop reaches FOLLOWED, or none SEEN at these fractions, because then it is not seen
    which of them comes first.
    """
    drops = [wide.drop(columns=0.0).rsub(wide[0.0], axis=0) for wide in (first, second)]
    means = pd.concat([drop.mean() for drop in drops], axis=1)
    fallen = np.all([stats.one_sided(drop.to_numpy(), FOLLOWED)[0] < (1 - stats.LEVEL) / 2 for drop in drops], axis=0)
    asked = ~np.logical_or.accumulate(fallen)
    if means.max(axis=None) < FOLLOWED or not means[asked].max(axis=None) >= SEEN:
        raise WinnowError(
            f"needs fractions at which an accuracy drops by {FOLLOWED:g} points, and by {SEEN:g} before both have"
            f" dropped by more than {FOLLOWED:g}"
        )
    return (drops[0] - drops[1]).loc[:, asked]


def later_claim(name: str, regime: str, said: str, compared: str, ahead: pd.DataFrame, floor: pd.Series) -> Claim:
    """The claim that one of two accuracies drops later than another, which is `ahead` of it by some points (`lead`).

    Nowhere has the other one dropped by more than COMPETITIVE points less, and somewhere by more than that more. So the
    claim can fail on either side.
    """
    return Claim(
        name,
        regime,
        statement=f"with growing sparsity, {said} (largest difference {ahead.mean().max():.2g}, at"
        f" {ahead.mean().idxmax():.2g})",
        statistic=f"{compared}, points, smallest difference up to fraction {ahead.columns[-1]:.2g}",
        test=f"{PAIRED} at every fraction, against +-{COMPETITIVE:g}",
        found=margin_evidence(ahead, -ahead, floor),
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
    return later_claim(
        "",
        _regime(rows, name),
        f"training accuracy drops later than test accuracy{told_diverged(random)}",
        "drop of test minus drop of training accuracy",
        lead(test, train),
        _floor(whole(gains(random)), rows),
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
        statement=f"{what}, pruning at initialization, tests better than the dense network{told_diverged(rows)}",
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
            f" also leaves more to gain{told_diverged(rows)}",
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
        statement=f"random pruning costs less accuracy the wider the network is{told_diverged(rows)}",
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


def told_diverged(rows: pd.DataFrame) -> str:
    """How many of the runs diverged, and what they count for, to be put behind a statement; nothing where none did."""
    count = int((rows.status == "diverged").sum())
    said = f" ({count} of {len(rows)} runs diverged: pruned ones guess, dense ones leave their seeds out)"
    return said if count else ""


def _regime(rows: pd.DataFrame, experiment: str) -> str:
    return f"{experiment} ({rows['data'].iloc[0]})"
