"""What the catalogue names is there: a misspelt rule would judge nothing, and say nothing of it."""

from winnow.analysis.selection import EPS
from winnow.catalogue import EXPERIMENTS, FIGURES, known
from winnow.judge import claims, practice
from winnow.paper.published import STATED


def test_every_rule_that_an_experiment_names_is_one_and_each_judges_something():
    rules = [*claims.RULES, *practice.RULES, "sanity", "race", "scaled over", "scaled width"]
    assert sorted(rules) == sorted({rule for asked in EXPERIMENTS.values() for rule in asked.judged})
    assert set(claims.COUNTED) <= set(claims.RULES)


def test_the_train_losses_at_which_runs_are_compared_are_those_of_the_rules():
    """The catalogue cannot import them: figures would be drawn again with every title."""
    losses = {rule: asked.losses for asked in EXPERIMENTS.values() for rule in asked.judged}
    both = {rule for rule, compared in losses.items() if compared == (EPS, EPS / 10)}
    assert {"mild", "rescued", "race"} <= both  # the rules with `2-eps/10`
    assert set(losses.values()) == {(EPS, EPS / 10), (EPS,), (), None}


def test_every_experiment_that_is_named_by_another_or_by_a_figure_is_there():
    assert {asked.beside for asked in EXPERIMENTS.values()} - {None} <= set(EXPERIMENTS)
    assert {experiment for figure in FIGURES.values() for experiment in figure.experiments} <= set(EXPERIMENTS)
    drawn_or_judged = {e for figure in FIGURES.values() for e in figure.experiments}
    assert all(asked.judged or name in drawn_or_judged for name, asked in EXPERIMENTS.items())


def test_every_published_figure_is_held_against_one_of_ours():
    assert {figure.published for figure in FIGURES.values()} - {None} == set(STATED)
    assert all(figure.published for figure in FIGURES.values() if figure.narrow)


def test_of_several_patterns_the_first_one_counts():
    asked = dict(known(["sanity-random-lenet", "sanity-lenet", "mine", "scaling-race-7"]))
    assert list(asked) == ["scaling-race-7", "sanity-random-lenet", "sanity-lenet"]
    assert (asked["sanity-random-lenet"].swept, asked["sanity-lenet"].swept) == (None, ("method", "check"))
