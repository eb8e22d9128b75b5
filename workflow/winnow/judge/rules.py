"""How a rule is written: the claims that it answers stand above it, and what it lacks is said in their place."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

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
        said = {"statement": str(error), "statistic": "", "test": "", "found": None}
        return [Claim(name, regime, **said) for name in ids]
