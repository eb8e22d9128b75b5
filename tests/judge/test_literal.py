"""Theorem 3 from its own sigma_0, on made-up runs in which it holds."""

import pytest
import worlds
from worlds import TRUE

from winnow.errors import WinnowError
from winnow.judge import theorems
from winnow.judge.evidence import decide
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
    assert {found[name, "literal-plain"] for name in ("1", "2", "4-zeta", "4-cross")} == {"supported"}
    assert {found[name, "literal"] for name in ("1", "2", "4-zeta", "4-cross")} == {"extends"}


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "supported"), (0.015, "supported"), (0.1, "contradicted")])
def test_longer_steps_are_held_against_plain_ones(shift, verdict):
    assert verdicts(*study(*NAMES, shift=shift))["literal-steps", "literal-long"] == verdict


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
