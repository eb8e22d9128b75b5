"""The claims of the abstract and of Theorems 3 and 9, regime by regime. Each rule stands here with its reason.

Constants, all chosen before a result was seen. What O, Omega and Theta hide is 1: Theorem 3's range starts at density
log d / m (C1 = 1). O~ hides Lemma 4's own factor for signals, sqrt(2 log(8 density m K d)). Lemma 8's O hides 2,
because with 1 its bound would lie below the Gaussian tail that it bounds. Where the draws alone refute a constant, they
are a row of their own ("by construction"), and training is judged on the draws that allow it.
"""

import numpy as np
import pandas as pd

from ..analysis.hypotheses import condition2_violations, hypotheses
from ..analysis.selection import (
    EPS,
    GOOD_ACCURACY,
    RUN,
    Regime,
    at_step,
    by_seed,
    exponents,
    first_below,
    gap,
    learning_times,
    memorized,
    over_bounds,
    slopes_by_seed,
    time_exponents,
    width_rows,
    without_signal,
)
from ..analysis.stats import least_deviation
from .evidence import (
    EVERY_MEAN,
    EVERY_SHARE,
    LIKELY,
    PAIRED,
    Claim,
    Evidence,
    best_evidence,
    equivalence_evidence,
    every_mean_evidence,
    mean_evidence,
    relevant_evidence,
    share_evidence,
)
from .rules import answers

CHANCE_MARGIN = 0.02  # equivalence of accuracy with 1/K
GAP_MARGIN = EPS / 100  # nats a factor e of density: less of a slope cannot matter beside a train loss of EPS
NOTHING = 1e-38  # stands for 0 in logarithms: float32 has no smaller number in full precision
HARDLY = 0.1  # of what is learned: noise below it moves no logit that the signal moves
LOSS_MARGIN = 0.01  # nats: a test loss that is no smaller than log K by more
EXPONENT_MARGIN = 0.1  # around a predicted exponent; the learning time's is about -0.4, so that 0 is far outside
UNSEEN = "without a signal neuron in any class"  # the runs of claim 3
NOISE_TIME_MARGIN = 0.25  # the same for the time to memorize, whose exponent is -q/2

# What the proofs need of a regime (analysis/hypotheses.py): Theorem 3's that the signal is stronger than the noise, and
# both that the network starts near 0 and that K, n, m and the step size are as small or large as Condition 2 says.
SIZES = ("K <= log d", "n <= (log d)^3", "m >= log d", "eta <= mu^-2")
THEOREM_3 = (*SIZES, "mu >= sigma_n sqrt(d) log d", "first signal logits <= 1", "first noise logits <= 1")
# Theorem 9's proof is about networks without signal neurons: mu plays no part.
THEOREM_9 = (*SIZES, "first noise logits <= 1", "density <= 1/(K m log d)", "density d > n + K")


def broken(regime: Regime, needs: tuple[str, ...], rows: pd.DataFrame | None) -> tuple[str, ...]:
    """The hypotheses among `needs` that a regime does not meet, at the densities of some runs (None: dense)."""
    densities = np.ones(1) if rows is None or rows.empty else 1 - rows.fraction.unique()
    holds = hypotheses(regime.settings, densities)
    return tuple(item for item in needs if not holds[item])


def claim(
    regime: Regime,
    needs: tuple[str, ...],
    found: Evidence,
    rows: pd.DataFrame | None = None,
    swept: str | None = None,
    **said: str | bool,
) -> Claim:
    """A claim about a regime; `said` are its statement, statistic and test, and whether it is forced.

    Its rule gives its id. A claim about all values of a swept key breaks what one of them breaks.
    """
    parts = regime.at_each(swept)
    unmet = tuple(dict.fromkeys(item for part in parts for item in broken(part, needs, rows)))
    violations = tuple(dict.fromkeys(item for part in parts for item in condition2_violations(part.settings)))
    return Claim("", regime.name, found=found, broken=unmet, violations=violations, **said)


@answers("1-draw", "1")
def success(regime: Regime) -> list[Claim]:
    """Claim 1, in two rows: what the draws of mask and initial weights give, and what training makes of them.

    A class without a live neuron, one that keeps its signal and starts with <w, mu> > 0, cannot be learned. How many
    draws have one follows from the binomial law (`formulas.dead_class_probability`), so that row is by construction.
    """
    rows = regime.mildly_pruned()
    live = rows.classes_dead == 0
    reads = {"statistic": "share of runs, worst fraction", "test": f"{EVERY_SHARE}, against {LIKELY:g}"}
    draws = claim(
        regime,
        THEOREM_3,
        share_evidence(rows, live),
        statement="in mildly pruned networks every class starts with a neuron that keeps its signal and responds",
        forced=True,
        **reads,
    )
    trained = claim(
        regime,
        THEOREM_3,
        share_evidence(rows, (rows.reached & (1 - rows.test_error >= GOOD_ACCURACY)).where(live)),
        statement=f"mildly pruned networks that start so reach train loss <= {EPS:g} and test accuracy >="
        f" {GOOD_ACCURACY:g}, with high probability at every fraction",
        **reads,
    )
    return [draws, trained]


def narrowing(rows: pd.DataFrame) -> Evidence:
    """Whether the gap shrinks as more is pruned: its slope on log density is above a margin, by seed.

    The gap itself and not its logarithm, because it may be 0 or negative; and a slope within the margin says nothing,
    because where no noise is memorized there is no gap to narrow.
    """
    return relevant_evidence(slopes_by_seed(rows, np.log(1 - rows.fraction), gap(rows)), GAP_MARGIN)


def _gap_claim(regime: Regime, rows: pd.DataFrame, statement: str, where: str) -> Claim:
    return claim(
        regime,
        THEOREM_3,
        narrowing(rows),
        statement=statement,
        statistic=f"slope of class-balanced test minus train loss on log density, nats, {where}",
        test=f"{PAIRED} against +-{GAP_MARGIN:g}",
    )


@answers("2", "2-eps/10")
def generalization_gap(regime: Regime) -> list[Claim]:
    """Claim 2, at a train loss and at a tenth of it; runs that do not get there count with their last step."""
    first = "in the mild range the generalization gap shrinks as more is pruned"
    return [
        _gap_claim(regime, regime.mild_ends(eps), statement, f"at train loss {eps:g} or the last step")
        for eps, statement in ((EPS, first), (EPS / 10, "the same at a tenth of the train loss"))
    ]


@answers("2-steps")
def gap_at_fixed_steps(regime: Regime) -> Claim:
    """Claim 2 after a fixed number of steps instead of at a fixed train loss."""
    step = int(regime.table.step.max())
    rows = at_step(regime.table, step)
    rows = rows[regime.is_mild(rows)]
    return _gap_claim(regime, rows, "the same after a fixed number of steps", f"after {step} steps")


@answers("2-error")
def best_improvement(regime: Regime) -> Claim:
    """Whether some mild fraction tests better than dense, judged as the best of all of them (Bonferroni)."""
    wide = regime.mild_ends().pivot(index="seed", columns="fraction", values="test_error").dropna()
    pruned = wide.drop(columns=0.0, errors="ignore")
    gains = wide[[0.0]].to_numpy() - pruned.to_numpy() if 0.0 in wide else np.empty((0, 0))
    found = best_evidence(gains, least_deviation(gains, regime.settings.data.n_test)) if len(gains) else Evidence()
    return claim(
        regime,
        THEOREM_3,
        found,
        statement="some mild fraction has a lower test error than the dense network",
        statistic="dense minus pruned test error, best fraction",
        test="t-tests of paired seeds, Bonferroni over fractions",
    )


def over_learned(regime: Regime, rows: pd.DataFrame) -> pd.Series:
    """What a run memorized over what it learned of the signal: the smaller one of max gamma and m^(-1/q)."""
    return memorized(rows) / rows.gamma_max.clip(upper=regime.level)


@answers("4-zeta", "4-cross")
def noise_coefficients(regime: Regime) -> list[Claim]:
    """Theorem 3: little is memorized, and little learned of other classes' signals.

    Memorized noise is held against what is learned, which does not depend on sigma_0. The theorem's own bound grows
    with sigma_0: the same noise passes it from large initial weights and fails it from small ones (`vanishing` asks
    what is left as sigma_0 goes to 0). Each is tested as a ratio, in logarithms, at every mild fraction: an exponent in
    density would average over the ups and downs of a curve.
    """
    rows = regime.mildly_pruned()
    noise, cross = over_learned(regime, rows), over_bounds(regime, rows)[1]
    return [
        claim(
            regime,
            THEOREM_3,
            every_mean_evidence(rows, np.log(noise.clip(lower=NOTHING)), np.log(HARDLY), below=True),
            statement=f"mildly pruned networks hardly memorize: max zeta and max -omega stay below {HARDLY:g} of max"
            " gamma and of m^(-1/q)",
            statistic="mean log of the larger one over the smaller one, worst fraction",
            test=f"{EVERY_MEAN}, against log {HARDLY:g}",
        ),
        claim(
            regime,
            THEOREM_3,
            every_mean_evidence(rows, np.log(cross.clip(lower=NOTHING)), 0.0, below=True),
            statement="and hardly learn the signals of other classes: the size of gamma_jk, k != j, stays within"
            " sqrt(2 log(8 density m K d)) sigma_0 mu (Theorem 3)",
            statistic="mean log of it over that, worst fraction",
            test=f"{EVERY_MEAN}, against 0",
        ),
    ]


@answers("4-zeta-0")
def vanishing(regime: Regime) -> Claim:
    """Theorem 3's bound of zeta and |omega| is proportional to sigma_0, so the exponent in sigma_0 is 1 or more.

    One exponent a seed and fraction, over runs that start from very different sigma_0.
    """
    rows = first_below(regime.table, EPS, ["init_std", *RUN])
    rows = rows[regime.is_mild(rows) & (rows.fraction > 0)].assign(memorized=memorized)
    found = by_fraction(rows, "memorized", "init_std")
    target = 1 - EXPONENT_MARGIN
    return claim(
        regime,
        THEOREM_3,
        every_mean_evidence(found, found.exponent, target),
        swept="init_std",
        statement="what a mildly pruned network memorizes vanishes with sigma_0, in proportion (Theorem 3)",
        statistic="exponent of the larger one of max zeta and max -omega in sigma_0, least fraction",
        test=f"{EVERY_MEAN}, against {target:g} = 1 - {EXPONENT_MARGIN:g}",
    )


def by_fraction(rows: pd.DataFrame, column: str, of: str) -> pd.DataFrame:
    """The exponent of a column in another one, for every seed at every fraction: columns fraction, exponent.

    A fraction at which no seed has one stays, with NaN.
    """
    fits = [
        pd.DataFrame({"fraction": fraction, "exponent": found if len(found) else [np.nan]})
        for fraction, part in rows.groupby("fraction")
        for found in [exponents(part, column, of)]
    ]
    return pd.concat(fits, ignore_index=True) if fits else pd.DataFrame({"fraction": [], "exponent": []})


@answers("4-time-signal")
def time_to_learn(regime: Regime) -> Claim:
    """Theorem 3's time does not depend on density; at finite m it does, through the largest initial signal response.

    So the exponent is held against the one that `formulas.signal_time` predicts for the same runs from K, m, sigma_0 mu
    and q, without a constant to fit. The theorem speaks of every class, so the slowest one is timed; that differs
    more between seeds than the fastest one does.
    """
    rows = learning_times(regime)
    expected = slopes_by_seed(rows, np.log(1 - rows.fraction), rows.predicted)
    mean = f"{expected.mean():.3f}" if len(expected) else "none"
    return claim(
        regime,
        THEOREM_3,
        equivalence_evidence(time_exponents(regime), 0.0, EXPONENT_MARGIN),
        statement="the time until every class has max gamma >= m^(-1/q) depends on density no more than the start of"
        f" its largest neuron makes it (predicted exponent {mean})",
        statistic="exponent of that time in density, minus the predicted one, mild range",
        test=f"TOST of paired seeds, 0 +- {EXPONENT_MARGIN:g}",
    )


@answers("4-gamma")
def width(regime: Regime) -> Claim:
    """Theorem 3: max gamma is of the order m^(-1/q) or more in every class, at every fraction.

    Measured where nothing is memorized, because elsewhere runs stop with little of the signal learned. It holds by
    construction: a run that reaches the train loss has a gap between its logits, and the signal alone can make it.
    """
    q = regime.settings.model.power
    found = by_fraction(width_rows(regime), "gamma_least", "width")
    target = -1 / q - EXPONENT_MARGIN
    return claim(
        regime,
        THEOREM_3,
        every_mean_evidence(found, found.exponent, target),
        swept="width",
        statement="in runs that reach the train loss, max gamma of the class that learned least is of the order"
        " m^(-1/q) or more, at every mild fraction",
        statistic="exponent of it in m, least fraction",
        test=f"{EVERY_MEAN}, against {target:.2f} = -1/q - {EXPONENT_MARGIN:g}",
        forced=True,
    )


@answers("3-train", "3-zeta", "3-accuracy", "3-loss")
def over_pruning(regime: Regime) -> list[Claim]:
    """Claim 3 and Theorem 9, on the runs in which no class has a signal neuron.

    That they test at chance, and no better than log K, holds by construction: with no weight on any signal the network
    cannot tell the classes apart, and confidence only costs. So does that those which reach the train loss do it by
    memorizing, max zeta >= m^(-1/q): the gap between their logits needs it. What can fail is that they reach it at all.
    """
    classes, rows = regime.settings.data.classes, without_signal(regime, regime.ends())
    reached = rows[rows.reached].assign(accuracy=1 - rows.test_error)
    accuracies = by_seed(reached, "accuracy")
    floor = least_deviation(accuracies, regime.settings.data.n_test)
    chance = f"1/{classes}"

    def about(found: Evidence, **words: str | bool) -> Claim:
        return claim(regime, THEOREM_9, found, rows, **words)

    return [
        about(
            share_evidence(rows, rows.reached),
            statement=f"{UNSEEN}, gradient descent still reaches train loss <= {EPS:g}, with high probability at every"
            " fraction",
            statistic="share of runs, worst fraction",
            test=f"{EVERY_SHARE}, against {LIKELY:g}",
        ),
        about(
            every_mean_evidence(reached, np.log(reached.zeta_max / regime.level), 0.0),
            statement=f"{UNSEEN}, it does so by memorizing: max zeta >= m^(-1/q) (Theorem 9)",
            statistic="mean log of max zeta over that, worst fraction",
            test=f"{EVERY_MEAN}, against 0",
            forced=True,
        ),
        about(
            equivalence_evidence(accuracies, 1 / classes, CHANCE_MARGIN, floor),
            statement=f"{UNSEEN}, test accuracy is chance, {chance}",
            statistic="test accuracy",
            test=f"TOST over seeds, {chance} +- {CHANCE_MARGIN:g}",
            forced=True,
        ),
        about(
            mean_evidence(by_seed(reached, "test_loss") - np.log(classes), -LOSS_MARGIN),
            statement=f"{UNSEEN}, test loss is no smaller than log {classes}",
            statistic=f"test loss - log {classes}, nats",
            test=f"t-test over seeds, against -{LOSS_MARGIN:g}",
            forced=True,
        ),
    ]


@answers("4-time-noise")
def time_to_memorize(regime: Regime) -> Claim:
    """Theorem 9's time, which goes as density^(-q/2), on the same runs."""
    q, rows = regime.settings.model.power, without_signal(regime, regime.ends())
    return claim(
        regime,
        THEOREM_9,
        equivalence_evidence(exponents(rows[rows.reached], "step"), -q / 2, NOISE_TIME_MARGIN),
        rows,
        statement=f"{UNSEEN}, the time to memorize goes as density^(-q/2)",
        statistic="exponent of that time in density",
        test=f"TOST of paired seeds, {-q / 2:g} +- {NOISE_TIME_MARGIN:g}",
    )
