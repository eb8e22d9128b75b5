"""The evidence a claim is given, and the words for it: true, false and undecidable."""

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from winnow.judge import evidence
from winnow.judge.evidence import Claim, Evidence

RNG = np.random.default_rng(0)
FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def numbers():
    """Each test draws the same ones, whichever ran before."""
    RNG.bit_generator.state = FIRST


def claim(found: Evidence | None, broken=()) -> Claim:
    return Claim("x", "here", "says", "number", "test", found, broken)


def p(p_for: float, p_against: float) -> Evidence:
    return Evidence(0.0, 0.0, 0.0, 5, p_for, p_against)


def verdicts(claims: list[Claim]) -> list[str]:
    return [row["verdict"] for row in evidence.decide(claims)]


def test_outside_the_hypotheses_a_theorem_is_neither_supported_nor_contradicted():
    certain = [p(1e-9, 1.0), p(1.0, 1e-9), p(0.3, 0.7)]
    assert verdicts([claim(found) for found in certain]) == ["supported", "contradicted", "inconclusive"]
    outside = [claim(found, ("mu >= sigma_n sqrt(d) log d",)) for found in certain]
    assert verdicts(outside) == ["extends", "does not extend", "inconclusive"]
    assert verdicts([claim(None), claim(certain[0])]) == ["not run", "supported"]


def test_one_family_two_sided():
    """Twice the smaller p-value, times the number of claims: .03 each way would pass two one-sided families at .05."""
    assert verdicts([claim(p(0.03, 0.97))]) == ["inconclusive"]
    assert verdicts([claim(p(0.02, 0.98))]) == ["supported"]
    assert verdicts([claim(p(0.02, 0.98)), claim(p(0.98, 0.02))]) == ["inconclusive"] * 2
    found = evidence.decide([claim(p(1e-6, 1.0)), claim(p(0.04, 0.96)), claim(Evidence())])
    assert [row["verdict"] for row in found] == ["supported", "inconclusive", "not judged"]
    assert found[0]["p_adjusted"] == pytest.approx(4e-6)  # two claims count, nothing to judge does not
    assert math.isnan(found[2]["p_adjusted"])


def test_one_seed_has_a_number_and_neither_interval_nor_verdict():
    one = evidence.mean_evidence([0.25])
    assert (one.estimate, one.n) == (0.25, 1)
    assert math.isnan(one.low) and math.isnan(one.high)
    found = [one, evidence.relevant_evidence([9.0], 1.0), evidence.best_evidence(np.array([[3.0, 1.0]]))]
    assert verdicts([claim(each) for each in found]) == ["not judged"] * 3


def test_seeds_that_all_agree_say_nothing_of_their_spread():
    """Two equal values were certainty, p < 1e-300. Where they are shares of examples, their least spread is known."""
    alike = [9.0, 9.0]
    rows_of_two = pd.DataFrame({"fraction": [0.0, 0.0, 0.5, 0.5]})
    found = [
        evidence.mean_evidence(alike),
        evidence.relevant_evidence(alike, 1.0),
        evidence.equivalence_evidence(alike, 9.0, 1.0),
        evidence.difference_evidence(alike, [0.0, 0.1, 0.2]),
        evidence.nearer_evidence(alike, [0.0, 0.0]),
        evidence.best_evidence(np.array([alike, [0.1, 0.2]]).T),
        evidence.every_mean_evidence(rows_of_two, pd.Series([*alike, 8.9, 9.1]), 0.0),
    ]
    assert verdicts([claim(each) for each in found]) == ["not judged"] * 7
    assert all(each.n == 2 and not math.isnan(each.estimate) for each in found)
    known = evidence.mean_evidence(alike, floor=0.01)
    assert known.low < 9 < known.high and verdicts([claim(known)]) == ["supported"]


def test_an_effect_too_small_to_matter_has_a_word_of_its_own():
    values = RNG.standard_normal(30)
    found = {shift: verdicts([claim(evidence.relevant_evidence(values + shift, 1.0))])[0] for shift in (0, 1, 4, -4)}
    assert found == {0: "no effect", 1: "inconclusive", 4: "supported", -4: "contradicted"}
    assert verdicts([claim(evidence.relevant_evidence(RNG.standard_normal(4), 1.0))]) == ["inconclusive"]


def test_three_answers_cost_three_tests():
    """At the edge of the margin nothing is said in more than 5 % of the cases, whichever answer is the wrong one."""
    samples = RNG.standard_normal((2000, 12)) + 0.5
    said = [verdicts([claim(evidence.relevant_evidence(sample, 0.5))])[0] for sample in samples]
    assert np.mean([word != "inconclusive" for word in said]) < 0.05


def test_what_holds_by_construction_is_no_test():
    forced = Claim("x", "here", "says", "number", "test", p(1e-9, 1.0), forced=True)
    rows = evidence.decide([forced, claim(p(0.02, 0.98))])
    assert [row["verdict"] for row in rows] == ["by construction", "supported"]
    assert math.isnan(rows[0]["p_adjusted"]) and rows[1]["p_adjusted"] == pytest.approx(0.04)


def test_what_was_not_measured_does_not_hold_by_construction():
    forced = Claim("x", "here", "says", "number", "test", Evidence(), forced=True)
    assert verdicts([forced]) == ["not judged"]


def test_every_fraction_means_every_one():
    """A fraction of which one run has a value was left out, and the others spoke for it."""
    table = rows()
    values = pd.Series(1 + 0.1 * RNG.standard_normal(len(table)))
    assert verdicts([claim(evidence.every_mean_evidence(table, values, 0.0))]) == ["supported"]
    for known in (0, 1):
        found = evidence.every_mean_evidence(table, values.where((table.fraction < 0.9) | (table.seed < known)), 0.0)
        assert verdicts([claim(found)]) == ["not judged"]


@pytest.mark.parametrize("below", [False, True])
def test_the_interval_of_a_worst_fraction_holds_the_worst_one(below):
    """It is chosen by its mean: an interval of its own would miss the worst true mean in a quarter of the cases."""
    table, truth = rows(tuple(np.linspace(0, 0.9, 8)), 10), -1.0 if below else 1.0
    cases = [truth + RNG.standard_normal(len(table)) for _ in range(400)]
    found = [evidence.every_mean_evidence(table, pd.Series(case), 0.0, below) for case in cases]
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.93
    assert all(f.low < f.estimate < f.high for f in found)


def test_the_interval_of_a_worst_share_holds_it():
    table = rows(tuple(np.linspace(0, 0.9, 8)), 10)
    shares = [evidence.share_evidence(table, pd.Series(RNG.random(len(table)) < 0.8)) for _ in range(400)]
    assert np.mean([f.low <= 0.8 <= f.high for f in shares]) > 0.93


def test_noise_alone_is_inconclusive():
    claims = [claim(p(value, 1 - value)) for value in RNG.uniform(0.05, 0.95, 30)]
    assert set(verdicts(claims)) == {"inconclusive"}


def rows(fractions=(0.0, 0.5, 0.9), seeds=20) -> pd.DataFrame:
    return pd.DataFrame([{"fraction": f, "seed": s} for f in fractions for s in range(seeds)])


def test_every_mean_is_judged_at_its_worst_fraction():
    table = rows()
    noise = 0.1 * RNG.standard_normal(len(table))
    true = pd.Series(1.0 - table.fraction + noise)
    found = evidence.every_mean_evidence(table, true, -0.5)
    assert found.p_for < 1e-6
    assert found.estimate == pytest.approx(0.1, abs=0.1)
    false = true.where(table.fraction < 0.9, -2 + noise)  # one fraction of three is enough
    found = evidence.every_mean_evidence(table, false, -0.5)
    assert (found.p_for > 0.99, found.p_against < 1e-6, found.n) == (True, True, 20)
    found = evidence.every_mean_evidence(table, -false, 0.5, below=True)
    assert (found.estimate > 1.9, found.p_against < 1e-6) == (True, True)
    assert found.low < found.estimate < found.high
    unclear = true.where(table.fraction < 0.9, -0.5 + noise)
    found = evidence.every_mean_evidence(table, unclear, -0.5)
    assert min(found.p_for, found.p_against) > 0.05
    for nothing in (true * math.nan, true[:0]):
        found = evidence.every_mean_evidence(table.loc[nothing.index], nothing, 0.0)
        np.testing.assert_equal(asdict(found), asdict(Evidence()))  # NaN included, which no Python's == promises


def test_shares_are_held_against_their_target():
    table = rows(seeds=300)
    all_hold = pd.Series(True, table.index)
    found = evidence.share_evidence(table, all_hold)
    assert (found.estimate, found.p_for < 1e-6) == (1, True)
    found = evidence.share_evidence(table, table.seed >= 30)
    assert (found.estimate, min(found.p_for, found.p_against) > 0.3) == (0.9, True)
    found = evidence.share_evidence(table, (table.fraction < 0.9) | (table.seed >= 60))  # at one of three fractions
    assert (found.estimate, found.p_against < 1e-5) == (0.8, True)
    assert evidence.share_evidence(table[:0], all_hold[:0]).n == 0
    unasked = all_hold.where(table.fraction < 0.9)  # of one of the fractions that are spoken of nothing is known
    found = evidence.share_evidence(table, unasked)
    assert (found.estimate, found.n, math.isnan(found.p_for)) == (1, 300, True)
    found = evidence.share_evidence(table, all_hold.where((table.fraction < 0.9) | (table.seed < 40)))
    assert found.p_for < 0.05


def test_differences_and_the_best_of_several():
    one, other = RNG.standard_normal(20), RNG.standard_normal(25)
    assert evidence.difference_evidence(one + 3, other).p_for < 1e-6
    assert evidence.difference_evidence(one, other + 3).p_against < 1e-6
    found = evidence.difference_evidence(one, other)
    assert (min(found.p_for, found.p_against) > 0.05, found.n) == (True, 20)
    assert evidence.difference_evidence(one, []).n == 0
    gains = RNG.standard_normal((15, 6))
    assert evidence.best_evidence(np.add(gains, [0, 0, 4, 0, 0, 0])).p_for < 1e-4
    assert evidence.best_evidence(gains - 4).p_against < 1e-4
    found = evidence.best_evidence(gains)
    assert min(found.p_for, found.p_against) > 0.05
    assert found.low < found.estimate < found.high


def test_words_follow_from_the_numbers_that_are_written():
    """A hair above .05, which rounding takes to it: two families that differ in last bits say the same."""
    rows = [evidence.decide([claim(p(0.025 - bits, 1.0))])[0] for bits in (0, 1e-15, -1e-15)]
    assert len({row["verdict"] for row in rows}) == 1
    assert {row["p_for"] for row in rows} == {0.025}


def test_last_bits_of_seeds_decide_nothing():
    values = np.log(np.array([1.1, 1.7, 2.3, 3.1]))
    other = np.nextafter(values, 10)
    np.testing.assert_equal(*(asdict(evidence.mean_evidence(v, 0.3)) for v in (values, other)))  # nan is equal to nan
    np.testing.assert_equal(*(asdict(evidence.difference_evidence(v, v[:3])) for v in (values, other)))
