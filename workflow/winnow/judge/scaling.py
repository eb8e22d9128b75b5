"""The scaling study: the same claims at every d, and whether what a finite size adds to them vanishes as d grows.

At every d of `scaling-race-…` the dense network loses the race by the same factor: Theorem 3 is asked about the
densities at which the signal is predicted to win, claim 2 about all of its range. `scaling-over-…` has Theorem 9's own
density, `scaling-widths` as much noise as leaves the dense network without test errors. Each rule stands here or in
`theorems.py`, with its reason, written before the runs.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from ..analysis import race
from ..analysis.selection import Regime, needed
from ..catalogue import known
from ..paper import formulas
from . import theorems
from .evidence import EVERY_SHARE, LIKELY, Claim, equivalence_evidence, nearer_evidence, share_evidence
from .rules import answers, or_not_run

NUMBERS = {
    "race-d": ("constant of the race fitted to accuracies", theorems.SIZES),
    "4-zeta-d": ("exponent of max zeta / (sigma_0 sigma_n sqrt(density d)) in density", theorems.THEOREM_3),
    "4-time-d": ("exponent of the time to learn every class in density, minus the predicted one", theorems.THEOREM_3),
}
"""What is 0 where theory or prediction is exact, and what that needs: by the claim that it comes nearer to 0."""


def scaling_claims(experiments: dict[str, Regime]) -> list[Claim]:
    """The claims about the experiments of the study that were run; none without any."""

    def judged(rule: str) -> list[Regime]:
        found = {name: asked.swept for name, asked in known(experiments) if rule in asked.judged}
        return [needed(experiments, name, "classes_missing", swept) for name, swept in found.items()]

    def judge() -> list[Claim]:
        races, over, widths = map(judged, ("race", "scaled over", "scaled width"))
        decided = [or_not_run(["race"], one.name, partial(race_claims, one)) for one in races]
        found = [*decided, trend_claims(races), *map(over_claims, over), *map(theorems.width, widths)]
        return [claim for claims in found for claim in claims]

    return or_not_run(["scaling"], "scaling", judge)


def race_claims(regime: Regime) -> list[Claim]:
    """Claims 1, 2 and 4 at one d, and where the race is decided."""
    inside = race.won(regime)
    claims = [*theorems.success(inside), *theorems.noise_coefficients(inside), *theorems.time_to_learn(inside)]
    where = f"where the predicted log advantage is above {race.MARGIN:g}"
    claims = [replace(claim, statement=f"{where}, {claim.statement}") for claim in claims]
    even = or_not_run(even_race.ids, regime.name, partial(even_race, regime))
    return [*claims, *theorems.generalization_gap(regime), *theorems.best_improvement(regime), *even]


@answers("race")
def even_race(regime: Regime) -> Claim:
    """The race names its boundary without a constant to fit, so the constant that fits must be near 0."""
    slopes, constants = race.jackknife(race.of_dimension(regime)).T
    return theorems.claim(
        regime,
        theorems.SIZES,
        equivalence_evidence(constants, 0.0, race.MARGIN),
        statement="memorizing gives way to the signal at the density where the race is even (a heuristic of ours;"
        f" fitted slope {np.mean(slopes):.2g})",
        statistic="constant of the race fitted to accuracies, jackknife over seeds",
        test=f"TOST over seeds, 0 +- {race.MARGIN:g}",
    )


def over_claims(regime: Regime) -> list[Claim]:
    """Claim 3 in full at one d: at densities up to the theorem's own, but for the time, whose exponent needs more."""
    data, model = regime.settings.data, regime.settings.model
    density = formulas.theorem_density(data.classes, model.width, data.dimension)
    own = replace(regime, table=regime.table[1 - regime.table.fraction <= density])
    return [*lost_signal(own), *theorems.over_pruning(own), *theorems.time_to_memorize(regime)]


@answers("3-signal")
def lost_signal(own: Regime) -> Claim:
    """What Theorem 9's density does to the draws of masks, so that this row is by construction."""
    rows = own.ends()
    return theorems.claim(
        own,
        theorems.THEOREM_9,
        share_evidence(rows, rows.classes_missing == own.settings.data.classes),
        rows,
        statement="at Theorem 9's density no class keeps a signal neuron, with high probability at every fraction",
        statistic="share of runs, worst fraction",
        test=f"{EVERY_SHARE}, against {LIKELY:g}",
        forced=True,
    )


def trend_claims(races: list[Regime]) -> list[Claim]:
    """Whether each of NUMBERS is nearer to 0 at the largest d than at the smallest, among the regimes of one width."""
    by_width: dict[int, list[Regime]] = {}
    for regime in sorted(races, key=lambda regime: regime.settings.data.dimension):
        by_width.setdefault(regime.settings.model.width, []).append(regime)
    found = []
    for width, regimes in by_width.items():
        if len(regimes) > 1:
            ends = partial(_nearer, regimes[0], regimes[-1])
            found += or_not_run(_nearer.ids, f"scaling-race, m = {width}", ends)
    return found


@answers(*NUMBERS)
def _nearer(small: Regime, large: Regime) -> list[Claim]:
    data, width = [regime.settings.data.dimension for regime in (small, large)], small.settings.model.width
    measured, found = [race.numbers(regime) for regime in (small, large)], []
    for name, (what, needs) in NUMBERS.items():
        row = theorems.claim(
            large,
            needs,
            nearer_evidence(*(rows.value[rows.number == name].dropna() for rows in measured)),
            statement=f"the {what} is nearer to 0 at the largest d",
            statistic="mean at the smallest d minus that at the largest, on the former's side of 0",
            test="Welch's t-tests of two samples, on both sides of 0",
        )
        found.append(replace(row, regime=f"scaling-race, m = {width}, d = {data[0]:,} and {data[1]:,}"))
    return found
