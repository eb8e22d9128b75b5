"""What a claim needs and does not find: a row `not run` that says so, in place of a verdict."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from ..errors import WinnowError

UNKNOWN = ("estimate", "low", "high", "p_value", "p_against", "p_adjusted", "p_against_adjusted")
NOT_RUN = "not run"


def experiment(tables: dict[str, pd.DataFrame], name: str, *columns: str) -> pd.DataFrame:
    """The metrics of an experiment. Raises WinnowError if it is not configured, or its runs lack a column."""
    if name not in tables:
        raise WinnowError(f"needs the experiment `{name}`, which is not configured")
    for column in columns:
        if column not in tables[name]:
            raise WinnowError(f"needs `{column}` in the runs of `{name}`")
    return tables[name]


def judged(claims: Sequence[str], regime: str, judge: Callable[[], list[dict]]) -> list[dict]:
    """The rows of some claims; if what they need is missing, one row each that says what."""
    try:
        return judge()
    except WinnowError as error:
        return [row(claim, regime, str(error)) for claim in claims]


def row(claim: str, regime: str, statement: str) -> dict:
    """The row of a claim that was not judged."""
    nothing = {"condition2_violations": [], "statistic": "", "test": "", "n": 0, "figure": None, "data": None}
    told = {"id": claim, "regime": regime, "statement": statement, "verdict": NOT_RUN}
    return told | nothing | dict.fromkeys(UNKNOWN, math.nan)
