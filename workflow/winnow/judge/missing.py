"""What a claim needs and does not find: a claim that was not run and says so, in place of a verdict."""

from collections.abc import Callable, Sequence

import pandas as pd

from ..errors import WinnowError
from .evidence import Claim


def experiment(tables: dict[str, pd.DataFrame], name: str, *columns: str) -> pd.DataFrame:
    """The metrics of an experiment. Raises WinnowError if it is not configured, or its runs lack a column."""
    if name not in tables:
        raise WinnowError(f"needs the experiment `{name}`, which is not configured")
    for column in columns:
        if column not in tables[name]:
            raise WinnowError(f"needs `{column}` in the runs of `{name}`")
    return tables[name]


def judged(claims: Sequence[str], regime: str, judge: Callable[[], list]) -> list:
    """Some claims (by id); if what they need is missing, each of them not run, with what it needs."""
    try:
        return judge()
    except WinnowError as error:
        said = {"statement": str(error), "statistic": "", "test": "", "figure": None, "found": None}
        return [Claim(name, regime, **said) for name in claims]
