"""What a claim is, what the seeds say about it, and the word for that.

The unit is always the seed. A claim has one p-value for it and one against it; a verdict needs twice the smaller one,
adjusted with Holm over all claims of a configuration, to be below 0.05. A claim that there is an effect has a third
one, that it is smaller than what would matter; a verdict then needs three times the smallest. What can only come out
one way is said to be by construction: it has a number, and neither a p-value nor a verdict. Where a value is a share
of test examples, `floor` is the least that a seed of it scatters (`stats.least_deviation`). A theorem can be supported
or contradicted only where the hypotheses that its proof needs hold: elsewhere what it says extends, or it does not
extend.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from ..analysis import stats
from ..files import rounded

ALPHA = 1 - stats.LEVEL
# "With high probability", everywhere: a share above this. 100 runs that all succeed are told from it after Holm over 80
# claims (0.9^100 = 3e-5); .95 would take 150.
LIKELY = 0.9
INCONCLUSIVE, NO_EFFECT, NOT_JUDGED, NOT_RUN = "inconclusive", "no effect", "not judged", "not run"
BY_CONSTRUCTION = "by construction"
INSIDE = {True: "supported", False: "contradicted"}  # where the hypotheses hold
OUTSIDE = {True: "extends", False: "does not extend"}
EVERY_SHARE = "exact binomial at every fraction"  # the tests, as claims.md names them
EVERY_MEAN = "t-test at every fraction"
PAIRED, WELCH = "t-test of paired seeds", "Welch's t-test of two samples"


@dataclass(frozen=True)
class Evidence:
    """What the seeds say: an estimate with its interval, and one-sided p-values for the claim and against it."""

    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    """Seeds: those of the fraction that is shown, and of the smaller group where two are compared."""
    p_for: float = math.nan
    p_against: float = math.nan
    p_none: float = math.nan
    """That the effect is within its margin; nan: the claim is not about an effect."""


@dataclass(frozen=True)
class Claim:
    """One line of the table: what is said of which runs, how it is measured, and what was found."""

    id: str
    regime: str
    """The experiment, and the value of its swept key or the images it is about."""
    statement: str
    statistic: str
    test: str
    found: Evidence | None
    """None where the experiment was not run."""
    broken: tuple[str, ...] = ()
    """The hypotheses that its proof needs and this regime does not meet."""
    violations: tuple[str, ...] = ()
    """The items of Condition 2, as printed, that this regime breaks."""
    forced: bool = False
    """Whether its number can only come out one way."""

    @property
    def p_value(self) -> float:
        """Twice the smaller of two p-values, or thrice the smallest of three, unadjusted (nan: nothing to judge)."""
        if self.found is None or self.forced:
            return math.nan
        answers = [self.found.p_for, self.found.p_against]
        return stats.smallest(answers if math.isnan(self.found.p_none) else [*answers, self.found.p_none])

    def verdict(self, p: float) -> str:
        """The word for it at a two-sided p-value adjusted over all claims."""
        if self.found is None:
            return NOT_RUN
        if self.found.n == 0:
            return NOT_JUDGED  # nothing was measured, so nothing holds
        if self.forced:
            return BY_CONSTRUCTION
        if math.isnan(p):
            return NOT_JUDGED  # seeds that say nothing of their spread: fewer than two, or all alike
        if not p < ALPHA:
            return INCONCLUSIVE
        if self.found.p_none < min(self.found.p_for, self.found.p_against):
            return NO_EFFECT
        return (OUTSIDE if self.broken else INSIDE)[self.found.p_for < self.found.p_against]

    def row(self, p: float) -> dict:
        """The claim as a row of claims.json, given its adjusted p-value."""
        said = ("id", "regime", "statement", "statistic", "test")
        row = {key: getattr(self, key) for key in said} | asdict(self.found or Evidence())
        row |= {"p_value": self.p_value, "p_adjusted": p, "verdict": self.verdict(p)}
        return row | {"broken": list(self.broken), "condition2_violations": list(self.violations)}


def decide(claims: list[Claim]) -> list[dict]:
    """The claims as rows with their verdicts: one family, two-sided, adjusted with Holm over all that were run.

    Words follow from rounded numbers, which are those that are written.
    """
    claims = [replace(claim, found=claim.found and Evidence(**rounded(asdict(claim.found)))) for claim in claims]
    adjusted = rounded(stats.holm([claim.p_value for claim in claims]))
    return [claim.row(float(p)) for claim, p in zip(claims, adjusted, strict=True)]


def mean_evidence(values, target: float = 0.0, floor: float = 0.0) -> Evidence:
    """Evidence that the mean over seeds is above a target; values is [seeds]."""
    values = stats.numbers(values)
    return _mean(values, *stats.one_sided(values, target, floor), floor)


def below_evidence(values) -> Evidence:
    """Evidence that the mean over seeds is below 0; values is [seeds]."""
    found = mean_evidence(values)
    return replace(found, p_for=found.p_against, p_against=found.p_for)


def relevant_evidence(values, margin: float, floor: float = 0.0) -> Evidence:
    """Evidence that the mean over seeds is above +margin; against it, that it is below -margin; that it is between."""
    values = stats.numbers(values)
    within = float(stats.equivalence(values, 0, margin, floor)[0])
    return replace(_mean(values, *stats.beyond(values, margin, floor), floor), p_none=within)


def equivalence_evidence(values, target: float, margin: float, floor: float = 0.0) -> Evidence:
    """Evidence that the mean over seeds is within target +- margin."""
    values = stats.numbers(values)
    return _mean(values, *stats.equivalence(values, target, margin, floor), floor)


def difference_evidence(one, other, floors: tuple[float, float] = (0.0, 0.0)) -> Evidence:
    """Evidence that the mean of one group of seeds is above that of another, independent one."""
    one, other = stats.numbers(one), stats.numbers(other)
    if not len(one) or not len(other):
        return Evidence()
    low, high, above, below = stats.two_samples(one, other, floors)
    return Evidence(float(one.mean() - other.mean()), low, high, min(len(one), len(other)), above, below)


def best_evidence(values: np.ndarray, floor: float | np.ndarray = 0.0) -> Evidence:
    """Evidence that some column's mean over seeds is above 0, judged as the best of all; values is [seeds, columns]."""
    values = stats.numbers(values)
    if len(values) < 2 or not values.shape[1]:
        return Evidence()
    best, low, high, above, below = stats.best_of(values, floor)
    return Evidence(float(values[:, best].mean()), low, high, len(values), above, below)


def nearer_evidence(first, last) -> Evidence:
    """Evidence that the mean of one group of seeds is nearer to 0 than that of another, independent one.

    With the first mean at a > 0, say, |b| < a means that both a - b and a + b are above 0. Shown is a - b.
    """
    first, last = stats.numbers(first), stats.numbers(last)
    if min(len(first), len(last)) < 2:
        return Evidence()
    side = 1.0 if first.mean() >= 0 else -1.0
    difference, total = (stats.two_samples(side * first, sign * side * last) for sign in (1, -1))
    p_for, p_against = stats.every([difference[2:], total[2:]])
    estimate = side * float(first.mean() - last.mean())
    return Evidence(estimate, *difference[:2], min(len(first), len(last)), p_for, p_against)


def share_evidence(rows: pd.DataFrame, holds: pd.Series) -> Evidence:
    """Evidence that at every fraction more than LIKELY of the runs (one a seed) are such that something holds.

    Shown is the smallest share, with an interval of the smallest true one (`stats.least_interval`). Runs of which it is
    not asked (NaN) are left out, and where that leaves a fraction none, nothing is judged: it is one of the fractions
    that are spoken of.
    """
    groups = [part.dropna() for _, part in holds.groupby(rows.fraction)]
    counts = [(int(part.sum()), len(part)) for part in groups if len(part)]
    if not counts:
        return Evidence()
    k, n = min(counts, key=lambda count: count[0] / count[1])
    found = stats.every([stats.share(*count, LIKELY) for count in counts])
    p_for, p_against = found if len(counts) == len(groups) else (math.nan, math.nan)
    low, high = stats.least_interval([stats.share_interval(*count, stats.bonferroni(len(counts))) for count in counts])
    return Evidence(k / n, low, high, n, p_for, p_against)


def every_mean_evidence(
    rows: pd.DataFrame, values: pd.Series, target: float, below: bool = False, floors: pd.Series | None = None
) -> Evidence:
    """Evidence that at every fraction the mean over seeds is above a target (or below it); one value a run.

    Shown is the mean nearest to the wrong side, with an interval of the one that truly is (`stats.least_interval`).
    Runs without a value are left out, and where that leaves a fraction fewer than two, nothing is judged: it is one of
    the fractions that are spoken of. `floors` are by fraction.
    """
    sign = -1.0 if below else 1.0
    groups = {at: sign * stats.numbers(part.dropna()) for at, part in values.groupby(rows.fraction)}
    lacking = any(len(part) < 2 for part in groups.values())
    groups = {at: part for at, part in groups.items() if len(part)}
    if not groups:
        return Evidence()
    floors = dict.fromkeys(groups, 0.0) if floors is None else floors
    found = stats.every([stats.one_sided(part, sign * target, floors[at]) for at, part in groups.items()])
    found = (math.nan, math.nan) if lacking else found
    level = stats.bonferroni(len(groups))
    ends = stats.least_interval([stats.mean_interval(part, level, floors[at]) for at, part in groups.items()])
    shown = min(groups.values(), key=np.mean)
    low, high = sorted(sign * end for end in ends)
    return Evidence(sign * float(shown.mean()), low, high, len(shown), *map(float, found))


def _mean(values, p_for: float, p_against: float, floor: float = 0.0) -> Evidence:
    values = stats.numbers(values)
    if not len(values):
        return Evidence()
    low, high = stats.mean_interval(values, floor=floor)
    return Evidence(float(values.mean()), float(low), float(high), len(values), float(p_for), float(p_against))
