"""Theorem 3 from its own sigma_0, on made-up runs in which it holds."""

import numpy as np
import pytest
import worlds
from scipy.stats import ttest_ind
from worlds import TRUE

from winnow.errors import WinnowError
from winnow.judge import theorems
from winnow.judge.evidence import decide, same_mean_evidence
from winnow.judge.literal import literal_claims
from winnow.judge.selection import Regime

NAMES = ("literal", "literal-long", "literal-plain")


def study(*names: str, shift: float = 0.0):
    """Tables and settings of some experiments, of which the plain one alone has plain steps; test errors moved."""
    plain = worlds.settings("condition2")
    longer = plain.model_copy(update={"training": plain.training.model_copy(update={"flat_below": 0.25})})
    tables = {name: worlds.table("condition2", TRUE) for name in names}
    if "literal-long" in tables:
        tables["literal-long"]["test_error"] += shift
    return tables, {name: plain if name.endswith("plain") else longer for name in names}


def verdicts(tables, settings) -> dict[tuple[str, str], str]:
    return {(row["id"], row["regime"]): row["verdict"] for row in decide(literal_claims(tables, settings))}


def test_longer_steps_are_a_hypothesis_that_is_broken():
    found = verdicts(*study(*NAMES))
    assert {name for name, regime in found if regime != "literal"} == {"literal-steps"}  # controls are no evidence
    assert {found[name, "literal"] for name in ("1", "2", "4-zeta", "4-cross")} == {"extends"}


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "supported"), (0.015, "supported"), (0.1, "contradicted")])
def test_longer_steps_are_held_against_plain_ones(shift, verdict):
    tables, settings = study(*NAMES, shift=shift)
    (claim,) = [claim for claim in literal_claims(tables, settings) if claim.id == "literal-steps"]
    assert claim.found.estimate == pytest.approx(shift, abs=1e-9)
    assert verdicts(tables, settings)["literal-steps", "literal-long"] == verdict


def test_steps_are_compared_as_two_samples():
    """Of scattered seeds, shuffling one group changes nothing: no seed of one belongs to a seed of the other."""
    one, other = np.random.default_rng(0).normal(0.3, 0.03, (2, 30))
    found, shuffled = (same_mean_evidence(one, group, 0.02) for group in (other, other[::-1]))
    assert (found.low, found.high, found.p_for) == pytest.approx((shuffled.low, shuffled.high, shuffled.p_for))
    welch = ttest_ind(one, other, equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(welch.confidence_interval(0.95)))
    sides = [
        ttest_ind(one + m, other, equal_var=False, alternative=side).pvalue
        for m, side in ((0.02, "greater"), (-0.02, "less"))
    ]
    assert found.p_for == pytest.approx(max(sides))


def test_what_is_not_configured_is_no_claim_or_one_that_says_what_it_lacks():
    assert literal_claims(*study()) == []
    assert ("literal-steps", "literal-long") not in verdicts(*study("literal"))
    assert verdicts(*study("literal-long"))["literal-steps", "literal-long"] == "not run"


def test_steps_of_several_sizes_are_no_time():
    tables, settings = study(*NAMES)
    plain, longer = (Regime(name, tables[name], settings[name]) for name in ("literal-plain", "literal"))
    assert theorems.time_to_learn(plain).found
    with pytest.raises(WinnowError, match="steps of one size"):
        theorems.time_to_learn(longer)
    over = {"plain": worlds.settings("overprune")}
    over["longer"] = over["plain"].model_copy(update={"training": longer.settings.training})
    table = worlds.table("overprune", TRUE)
    seeds = {k: theorems.over_pruning(Regime("overprune", table, s))[-1].found.n for k, s in over.items()}
    assert seeds == {"plain": worlds.SEEDS, "longer": 0}
