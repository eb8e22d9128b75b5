"""Theorem 3 from its own sigma_0, on made-up runs in which it holds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import worlds
from scipy.stats import ttest_1samp
from worlds import TRUE

from winnow.analysis.selection import Regime
from winnow.judge.evidence import decide
from winnow.judge.literal import literal_claims


def study(*names: str, levels=(1e-9, 0.25), shift=0.0):
    """Some experiments; where the last of the levels is in force, test errors are moved."""
    plain = worlds.settings("condition2")
    longer = plain.model_copy(update={"training": plain.training.model_copy(update={"flat_below": 0.25})})
    tables = {name: worlds.table("condition2", TRUE) for name in names}
    if "literal-steps" in tables:
        parts = [tables["literal-steps"].assign(flat_below=level) for level in levels]
        parts[-1]["test_error"] += shift if np.isscalar(shift) else parts[-1].seed.map(shift)
        tables["literal-steps"] = pd.concat(parts, ignore_index=True)
    return {name: Regime(name, table, longer) for name, table in tables.items()}


def verdicts(found: dict) -> dict[tuple[str, str], str]:
    return {(row["id"], row["regime"]): row["verdict"] for row in decide(literal_claims(found))}


def steps(found: dict):
    (claim,) = literal_claims({"literal-steps": found["literal-steps"]})
    return claim


def test_longer_steps_are_a_hypothesis_that_is_broken():
    found = verdicts(study("literal", "literal-steps"))
    assert {found[name, "literal"] for name in ("1", "4-zeta", "4-cross")} == {"extends"}
    # times and gaps are not judged, and the control is no evidence for the theorem
    assert set(found) - {("literal-steps", "literal-steps, flat_below 0.25")} == {
        (name, "literal") for name in ("1-draw", "1", "4-zeta", "4-cross")
    }


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, "supported"), (0.015, "supported"), (-0.015, "supported"), (0.1, "contradicted")]
)
def test_longer_steps_are_held_against_plain_ones(shift, verdict):
    experiments = study("literal-steps", shift=shift)
    assert steps(experiments).found.estimate == pytest.approx(shift, abs=1e-9)
    assert verdicts(experiments)["literal-steps", "literal-steps, flat_below 0.25"] == verdict


def test_the_same_draws_in_steps_of_either_kind_are_pairs():
    """By seed, whatever their order and however the seeds themselves differ; one without its partner is left out."""
    shift = pd.Series(np.random.default_rng(0).normal(0.01, 0.005, worlds.SEEDS))
    control = study("literal-steps", shift=shift)["literal-steps"]
    table = control.table
    table["test_error"] += table.seed.map(lambda seed: 0.3 * (seed % 2))
    shuffled = pd.concat([run for _, run in reversed(list(table.groupby(["seed", "flat_below", "fraction"])))])
    lone = table[(table.seed > 0) | (table.flat_below < 0.1)]
    for rows, pairs in ((table, shift), (shuffled, shift), (lone, shift[1:])):
        found = steps({"literal-steps": replace(control, table=rows)}).found
        interval = ttest_1samp(pairs, 0).confidence_interval(0.95)
        assert (found.estimate, found.low, found.high) == pytest.approx((pairs.mean(), *interval))
        assert found.p_for == pytest.approx(ttest_1samp(pairs, 0.02, alternative="less").pvalue)
        assert found.n == len(pairs)


def test_what_is_not_configured_is_no_claim_or_one_that_says_what_it_lacks():
    assert literal_claims(study()) == []
    assert "literal-steps" not in {name for name, _ in verdicts(study("literal"))}
    whole = study("literal")["literal"]
    bare = {"literal": replace(whole, table=whole.table.drop(columns="classes_missing"))}
    bare["literal-steps"] = replace(whole, name="literal-steps")
    found = [(claim.id, claim.verdict(claim.p_value)) for claim in literal_claims(bare)]
    assert found == [(name, "not run") for name in ("1-draw", "1", "4-zeta", "4-cross", "literal-steps")]
    assert "needs `flat_below` in the runs" in steps(bare).statement


@pytest.mark.parametrize("levels", [(0.25,), (1e-9, 0.1, 0.25), (0.25, 0.5), (1e-10, 1e-9), (1e-9, 0.05)])
def test_steps_are_compared_only_where_none_and_all_start_flat(levels):
    """At .05 some classes' <w_r, x> start above: their steps are plain on both sides."""
    claim = steps(study("literal-steps", levels=levels))
    assert "needs two values of `flat_below`" in claim.statement
    assert claim.verdict(claim.p_value) == "not run"


def test_the_claims_say_where_their_numbers_are_drawn():
    found = study("literal", "literal-steps")
    assert {claim.figure for claim in literal_claims(found)} == {"literal"}
    assert "(`literal-steps, flat_below 1e-09`)" in steps(found).statistic
