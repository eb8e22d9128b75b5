"""How a rule is written: the claims that it answers stand above it, and what it lacks is said in their place."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..analysis.selection import Regime, needed
from ..catalogue import EXPERIMENTS, Asked
from ..errors import WinnowError
from .evidence import Claim


def answers(*ids: str) -> Callable:
    """A function that gives claims, or one, as a rule that gives a list of them with these ids, in this order."""

    def named(function: Callable) -> Callable:
        @functools.wraps(function)
        def rule(*arguments, **options) -> list[Claim]:
            found = function(*arguments, **options)
            found = found if isinstance(found, list) else [found]
            return [replace(claim, id=name) for name, claim in zip(ids, found, strict=True)]

        rule.ids = ids
        return rule

    return named


def or_not_run(ids: Sequence[str], regime: str, judge: Callable[[], list]) -> list:
    """What is judged; if what that needs is missing, some claims (by id), each of them not run, with what it needs."""
    try:
        return judge()
    except WinnowError as error:
        said = {"statement": str(error), "statistic": "", "test": "", "figure": None, "found": None}
        return [Claim(name, regime, **said) for name in ids]


def each_alone(experiments: dict[str, Regime], rules: dict[str, tuple], column: str, call: Callable) -> list[Claim]:
    """What rules say of the experiments that the catalogue has them judge: what one lacks takes no other with it.

    `call` gives a rule what it asks for, from the experiment, whose runs must have a column, and its entry. `{}` in the
    id of a claim is the ending of the entry.
    """

    def judge(rule: Callable, name: str, asked: Asked) -> list[Claim]:
        found = call(rule, needed(experiments, name, column), asked)
        return [replace(claim, id=claim.id.format(asked.ending)) for claim in found]

    found = []
    for name, asked in EXPERIMENTS.items():
        for rule in (rule for key in asked.judged for rule in rules.get(key, ())):
            if name in experiments or not asked.optional:
                ids = [claim.format(asked.ending) for claim in rule.ids]
                found += or_not_run(ids, name, functools.partial(judge, rule, name, asked))
    return found
