"""Questions that figures and claims ask of a table of runs (the columns of metrics.parquet)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings

RUN = ["fraction", "seed"]
SMALLEST_GAP = 1e-5  # nats; a smaller gap between test and train loss, or a negative one, counts as this


@dataclass(frozen=True)
class Regime:
    """One experiment at one value of its swept keys: its runs and the settings they share."""

    name: str
    table: pd.DataFrame
    settings: TwoLayerSettings

    @property
    def mild(self) -> pd.DataFrame:
        """The evaluations of the runs in the mild range."""
        return self.table[1 - self.table.fraction >= self.mild_density - 1e-9]

    @property
    def mild_density(self) -> float:
        """delta* of this regime."""
        return formulas.mild_density(self.settings.data.classes, self.settings.model.width)


def split_regimes(name: str, table: pd.DataFrame, settings: TwoLayerSettings, axis: str | None) -> list[Regime]:
    """An experiment as regimes, one for every value of a swept key."""
    if axis is None:
        return [Regime(name, table, settings)]
    parts = table.groupby(axis)
    return [Regime(f"{name}, {axis} {value:g}", part, settings.at({axis: str(value)})) for value, part in parts]


def first_below(table: pd.DataFrame, eps: float) -> pd.DataFrame:
    """One row a run: its first evaluation with train loss <= eps (`reached`: it converged, whatever came later), or its
    last one if there is none."""
    reached = table[table.train_loss <= eps].groupby(RUN, as_index=False).head(1)
    reached = reached.assign(reached=True, status="converged")
    last = table.groupby(RUN, as_index=False).tail(1).assign(reached=False)
    rows = pd.concat([reached, last]).drop_duplicates(RUN)
    return rows.sort_values(RUN, ignore_index=True)


def at_step(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """One row a run: its evaluation after exactly this many steps."""
    return table[table.step == step].sort_values(RUN, ignore_index=True)


def over_pruned(rows: pd.DataFrame, settings: TwoLayerSettings) -> pd.Series:
    """Whether a run's density makes it likelier than not that no class keeps a signal neuron."""
    lost = formulas.class_loss_probability(1 - rows.fraction, settings.model.width)
    return lost**settings.data.classes >= 0.5


def loss_gap(rows: pd.DataFrame) -> pd.Series:
    """Test minus train loss, nats, at least SMALLEST_GAP so that it has a logarithm."""
    return (rows.test_loss - rows.train_loss).clip(lower=SMALLEST_GAP)


def first_step_above(table: pd.DataFrame, column: str, level: float) -> pd.Series:
    """The step at which a growing column reaches a level, by run; nan if never.

    Between two evaluations it is interpolated in log(step + 1) and log(column).
    """
    return table.groupby(RUN).apply(lambda run: _crossing(run.step.to_numpy(), run[column].to_numpy(), level))


def _crossing(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    above = np.flatnonzero(values >= level)
    if not len(above):
        return float("nan")
    i = above[0]
    if i == 0:
        return float(steps[0])
    low, high = np.log(np.maximum(values[i - 1 : i + 1], 1e-12))
    share = (np.log(level) - low) / (high - low)
    return float(np.exp((1 - share) * np.log1p(steps[i - 1]) + share * np.log1p(steps[i])) - 1)


def slopes_by_seed(rows: pd.DataFrame, x: str, y: str, least: int = 3) -> np.ndarray:
    """One least-squares slope of column y on column x a seed, over its finite points; seeds with fewer are left out."""
    slopes = []
    for _, seed in rows.groupby("seed"):
        points = seed[np.isfinite(seed[y])]
        if len(points) >= least:
            slopes.append(np.polyfit(points[x], points[y], 1)[0])
    return np.array(slopes)


def by_seed(rows: pd.DataFrame, column: str) -> pd.Series:
    """The mean of a column over each seed's rows."""
    return rows.groupby("seed")[column].mean()
