"""Claim 4 by intervention, and the lemmas behind the theorems. Each rule stands here with its reason."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ..analysis.selection import RUN, Regime, as_densities, last, pruned_coordinates, three_fractions
from ..analysis.stats import least_deviation
from ..errors import WinnowError
from ..paper import formulas
from .evidence import (
    EVERY_MEAN,
    EVERY_SHARE,
    LIKELY,
    PAIRED,
    WELCH,
    Claim,
    Evidence,
    below_evidence,
    difference_evidence,
    equivalence_evidence,
    every_mean_evidence,
    mean_evidence,
    share_evidence,
)
from .rules import answers, or_not_run
from .theorems import THEOREM_3, claim

KEPT = 0.25  # of the dense mean: the sketch draws the two bells at one place
VARIANCE_FACTOR = 2.0  # times the largest initial variance: training adds no more than was there
BOUND_RANGE = (0.001, 0.5)  # where Lemma 8's bound can be told from 0 and from 1 with some thousand examples
SAME = 1e-4  # fractions that differ by less are one: initial weights that stand for it have six digits
LEMMA = ("m >= log d",)  # d large enough for the concentration that the lemmas use


@answers("4-noise-helps", "4-signal-harms")
def target(causes: Regime) -> list[Claim]:
    """Claim 4: which coordinates are pruned; the three targets share their seeds and their dense networks.

    Each half is held against the dense network. Pruning only noise against pruning only signals would be the sum of
    what the one helps and the other harms, and would support both halves where one of them does nothing.
    """
    noise, signal = (pruned_coordinates(causes, target) for target in ("noise", "signal"))
    gained, lost = -_over_dense(noise, _mild(noise, causes)), _over_dense(signal, _over(signal, causes))
    examples = causes.settings.data.n_test
    return [
        claim(
            causes,
            THEOREM_3,
            mean_evidence(values, floor=least_deviation(values, examples)),
            statement=statement,
            statistic=f"test error, {statistic} fractions",
            test=PAIRED,
        )
        for values, statement, statistic in (
            (
                gained,
                "mild pruning helps by what it removes of the noise: pruning only the noise coordinates does better"
                " than not pruning",
                "dense minus noise only, mean over mild",
            ),
            (
                lost,
                "over-pruning harms by what it removes of the signal: pruning only the signal coordinates does worse"
                " than not pruning",
                "signal only minus dense, mean over sparser",
            ),
        )
    ]


@answers("4-dense-signal")
def dense_signal(dense: Regime, causes: Regime) -> Claim:
    """Claim 4: what the signal looks like. Two experiments with random streams of their own are two samples."""
    both, gains = (pruned_coordinates(causes, "all"), dense.ends()), []
    for rows, mild in zip(both, _mild_ones(both, causes), strict=True):
        gains.append(-_over_dense(rows, mild))
    return claim(
        dense,
        THEOREM_3,
        difference_evidence(*gains, _floors(gains, causes, dense)),
        statement="a dense signal of the same length gains less from mild pruning (p. 6)",
        statistic="gain in test error over dense, coordinate signal minus dense signal",
        test=WELCH,
    )


@answers("4-not-init")
def small_init(small: Regime, causes: Regime) -> Claim:
    """Claim 4: how large the initial weights are; two samples as well."""
    both = as_densities(small, causes), pruned_coordinates(causes, "all")
    errors = [_error(rows) for rows in _mild_ones(both, causes)]
    return claim(
        small,
        THEOREM_3,
        difference_evidence(*errors, _floors(errors, small, causes)),
        statement="mild pruning is more than a smaller initialization",
        statistic="test error, dense with sigma_0 sqrt(density) minus pruned, mean over mild fractions",
        test=WELCH,
    )


def _floors(samples: list[pd.Series], *regimes: Regime) -> tuple[float, float]:
    """The least deviations of two samples of test errors, or of differences of some, each of a regime."""
    one, other = (least_deviation(s, r.settings.data.n_test) for s, r in zip(samples, regimes, strict=True))
    return one, other


def _mild_ones(both: tuple[pd.DataFrame, pd.DataFrame], causes: Regime) -> list[pd.DataFrame]:
    """The mildly pruned runs of two samples. Raises WinnowError where these are not of the same fractions."""
    mild = [_mild(rows, causes) for rows in both]
    one, other = (np.sort(rows.fraction.unique()) for rows in mild)
    if len(one) != len(other) or not np.allclose(one, other, rtol=0, atol=SAME):
        shown = " against ".join(", ".join(f"{f:g}" for f in fractions) or "none" for fractions in (one, other))
        raise WinnowError(f"needs the same mild fractions as in `{causes.name}`: {shown}")
    return mild


def _mild(rows: pd.DataFrame, causes: Regime) -> pd.DataFrame:
    return rows[causes.is_mild(rows) & (rows.fraction > 0)]


def _over(rows: pd.DataFrame, causes: Regime) -> pd.DataFrame:
    return rows[~causes.is_mild(rows)]


def _over_dense(rows: pd.DataFrame, pruned: pd.DataFrame) -> pd.Series:
    """How much larger the mean test error of some of the rows is than that of their dense networks, by seed."""
    return (_error(pruned) - _error(rows[rows.fraction == 0])).dropna()


def _error(rows: pd.DataFrame) -> pd.Series:
    """The mean over fractions by seed, of the seeds of which no run diverged."""
    return rows.pivot(index="seed", columns="fraction", values="test_error").mean(axis=1, skipna=False).dropna()


@answers("figure-1-mean", "figure-1-spread", "figure-1-over")
def neurons(regime: Regime) -> list[Claim]:
    """Figure 1, a sketch: mild pruning keeps the mean signal strength of the neurons and narrows it, over-pruning
    lowers it.

    Of all neurons of a run where it ends, <w_kr, mu e_k> of their own class; over the dense networks' mean and standard
    deviation, because the sketch has no scale. Both parts of such a ratio scatter over seeds (`ratio`); runs that
    diverged are in none. Raises WinnowError where dense networks have no mean strength above 0 to compare with.
    """
    rows = last(regime.table)
    strengths = rows.signal_strength.where(rows.status != "diverged")
    rows = rows.assign(mean=strengths.map(np.mean), sd=strengths.map(np.std))
    wide = rows.pivot(index="seed", columns="fraction", values=["mean", "sd"])
    chosen = three_fractions(regime)
    dense, mild = chosen["dense"], chosen["mild"]
    if not wide["mean"][dense].mean() > 0:
        raise WinnowError(f"{regime.name}: needs dense networks whose mean signal strength is above 0")

    def row(key: str, at: float, judge: Callable[[pd.Series], Evidence], **words: str) -> Claim:
        what = {"mean": "mean", "sd": "standard deviation"}[key]
        statistic = f"{what} of signal strengths at fraction {at:g}, relative to dense, minus 1"
        found = judge(ratio(wide[key][at], wide[key][dense]) - 1)
        return claim(regime, THEOREM_3, found, statistic=statistic, **words)

    def over() -> list[Claim]:
        if "over" not in chosen:
            raise WinnowError(f"{regime.name}: needs a fraction of density < {regime.mild_density:.4g}")
        said = "over-pruning lowers the neurons' mean signal strength (Figure 1)"
        return [row("mean", chosen["over"], below_evidence, statement=said, test=PAIRED)]

    return [
        row(
            "mean",
            mild,
            lambda values: equivalence_evidence(values, 0.0, KEPT),
            statement="mild pruning keeps the neurons' mean signal strength (Figure 1)",
            test=f"TOST of paired seeds, 0 +- {KEPT:g}",
        ),
        row(
            "sd",
            mild,
            below_evidence,
            statement="and narrows its spread over neurons",
            test=PAIRED,
        ),
        *or_not_run([""], regime.name, over),
    ]


def ratio(above: pd.Series, below: pd.Series) -> pd.Series:
    """By seed, values whose mean is that of `above` over that of `below`, and whose spread is the ratio's.

    To first order in both (delta method); seeds that lack one of the two are left out.
    """
    pairs = pd.DataFrame({"above": above, "below": below}).dropna()
    found = pairs.above.mean() / pairs.below.mean()
    return found + (pairs.above - found * pairs.below) / pairs.below.mean()


@answers("lemma-4-noise", "lemma-4-signal")
def initial_correlations(regime: Regime) -> list[Claim]:
    """Lemma 4, at step 0 of many seeds. Both rows are by construction: they are about Gaussian draws alone."""
    start = regime.starts()
    start = start[regime.is_mild(start)]
    density = (1 - start.fraction).to_numpy()
    low, high = regime.noise_bounds(density)
    noise = (start.noise_start_low >= low) & (start.noise_start_high <= high)
    low, high = regime.signal_bounds(density)
    signal = (start.signal_start_low >= low) & (start.signal_start_high <= high)
    classes, width, dimension, _ = regime.size
    asked = density * width >= math.log(classes * dimension)
    words = {"statistic": "share of runs, worst fraction", "test": f"{EVERY_SHARE}, against {LIKELY:g}", "forced": True}
    return [
        claim(
            regime,
            LEMMA,
            share_evidence(start, noise),
            statement="the initial correlations with the noise lie within Lemma 4's bounds, for all classes and"
            " examples at once",
            **words,
        ),
        claim(
            regime,
            LEMMA,
            share_evidence(start[asked], signal[asked]),
            statement="so do those with the signal, for all classes at once, where density m >= log(K d) (the constant"
            " of its order taken as 1)",
            **words,
        ),
    ]


@answers("lemma-8")
def noise_variance(regime: Regime) -> Claim:
    """Lemma 8's content: training leaves Var <w, xi> at its initial scale, sigma_0^2 sigma_n^2 density d.

    Of the largest neuron, because the lemma speaks of all of them, over the largest one of the same run before
    training, which has that scale by construction (the largest of K m at finite d is up to twice the mean). Without
    the coordinates of the signals, whose learned weights are of the order 1 at every density and would be all one sees.
    """
    ends = regime.mild_ends()
    starts = regime.starts()[[*RUN, "variance_noise_max"]].rename(columns={"variance_noise_max": "at_start"})
    rows = ends.merge(starts, on=RUN)
    # In double precision, and to what is left of it: a logarithm of nearly 1 is a difference of nearly equal numbers.
    grown = np.log(rows.variance_noise_max.astype(float) / rows.at_start.astype(float)).round(9)
    return claim(
        regime,
        THEOREM_3,
        every_mean_evidence(rows, grown, math.log(VARIANCE_FACTOR), below=True),
        statement="training leaves Var <w, xi> over fresh noise, without the coordinates of the signals, at its initial"
        f" scale sigma_0^2 sigma_n^2 density d: the largest is at most {VARIANCE_FACTOR:g} times the largest before",
        statistic="mean log of the largest neuron's variance over that before training, worst fraction",
        test=f"{EVERY_MEAN}, against log {VARIANCE_FACTOR:g}",
    )


@answers("lemma-8-event")
def noise_event(regime: Regime) -> Claim:
    """Lemma 8's bound itself, at the fractions where it is neither practically 0 nor above 1/2.

    Of the whole response <w, xi>, as the lemma has it, and with the constant of a Gaussian tail.
    """
    rows = regime.mild_ends()
    bounds = pd.Series(regime.event_bounds(1 - rows.fraction), rows.index)
    judged = bounds.between(*BOUND_RANGE)
    missed = rows.event_missed[judged].dropna()
    floors = missed.groupby(rows.fraction).agg(least_deviation, regime.settings.data.n_test)
    return claim(
        regime,
        THEOREM_3,
        every_mean_evidence(rows[judged], missed - bounds[judged], 0.0, below=True, floors=floors),
        statement="after training, some <w, xi> of a fresh example reaches (2m)^(-2/q) no more often than Lemma 8's"
        f" bound says (constant {formulas.EVENT_CONSTANT:g}), where that is {BOUND_RANGE[0]:g} to {BOUND_RANGE[1]:g}"
        " (the noise on a signal's own coordinate counts, which meets a weight that has learned)",
        statistic="share of test examples minus the bound, worst fraction",
        test=f"{EVERY_MEAN}, against 0",
    )
