"""The race between learning the signal and memorizing the noise: predicted accuracy, and how it fits runs.

Two predictions, both heuristics of ours: the signal wins where `formulas.race_from_maxima` exceeds a constant, and
below some density classes lose their signal. Together,

    accuracy = 1/K + (A(density, m) - 1/K) / (1 + exp(-slope (race - constant)))

with A = `formulas.accuracy_after_class_loss`.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import expit

from ..errors import WinnowError
from ..files import rounded
from ..paper import formulas
from ..two_layer.settings import TwoLayerSettings
from .selection import Regime, exponents, time_exponents
from .stats import mean_interval

MARGIN = 0.5  # of the race's constant: a factor 1.6 in n, or 1.2 in sigma_n; the densities span about 3
FIT_DIGITS = 6
POLISH = 50  # steps of Gauss and Newton, each of which takes a good part of what is left
CELL = ["experiment", "swept", "value", "fraction"]  # runs that differ in their seed alone


def predictors(settings: TwoLayerSettings, density: float) -> tuple[float, float]:
    """The predicted log advantage of the signal, and A, at a density. Raises WinnowError where there is no noise."""
    data, model = settings.data, settings.model
    if not data.sigma_n:
        raise WinnowError("data.sigma_n: 0; a race of signal and noise needs more")
    size = (data.classes, model.width, data.n_train, data.dimension, data.signal_norm, data.sigma_n)
    lost = formulas.dead_class_probability(density, model.width)
    return (
        formulas.race_from_maxima(*size, density, model.power),
        formulas.accuracy_after_class_loss(lost, data.classes),
    )


def points(regime: Regime, **cell: object) -> pd.DataFrame:
    """One row a run: its accuracy at EPS (or where it ended), race, kept (A) and chance (1/K).

    `cell` holds the columns of CELL but the fraction.
    """
    parts = []
    for fraction, runs in regime.ends().groupby("fraction"):
        race, kept = predictors(regime.settings, 1 - fraction)
        found = {"fraction": fraction, "accuracy": 1 - runs.test_error, "race": race, "kept": kept}
        found |= {name: runs[name] for name in ("seed", "run", "status", "reached")}
        found |= {"chance": 1 / regime.settings.data.classes, "test_examples": regime.settings.data.n_test}
        parts.append(pd.DataFrame(found))
    return pd.concat(parts, ignore_index=True).assign(**cell)


def means(points: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, the mean over its seeds; NaN where all diverged."""
    return points.groupby(CELL, as_index=False).mean(numeric_only=True).drop(columns="seed")


def accuracy(points: pd.DataFrame, slope: float, constant: float) -> np.ndarray:
    """The predicted accuracy of points."""
    wins = expit(slope * (points.race - constant))
    return (points.chance + (points.kept - points.chance) * wins).to_numpy()


def fit(points: pd.DataFrame) -> np.ndarray:
    """Least-squares slope and constant, on means over seeds; to fewer digits than numbers have, as last bits decide
    where a search ends. Raises WinnowError where fewer than two means are left of the runs that did not diverge."""
    cells = means(points).dropna(subset="accuracy")
    if len(cells) < 2:
        names = ", ".join(points.experiment.unique())
        raise WinnowError(
            f"{names}: a race is fitted to two fractions or values at least at which some run did not diverge"
        )
    measured = cells.accuracy.to_numpy()
    found = least_squares(lambda p: accuracy(cells, *p) - measured, [2.0, 0.0]).x
    return rounded(_polished(cells, measured, found), FIT_DIGITS)


def _polished(cells: pd.DataFrame, measured: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A least-squares fit to nearly all of its bits.

    A search goes by sums of squares, which near their least do not tell parameters 1e-8 apart; these steps go to where
    the gradient is 0. A fit that does not settle there, as of a curve that is a step, stays as it was found.
    """
    slope, constant = found
    height, race = (cells.kept - cells.chance).to_numpy(), cells.race.to_numpy()
    for _ in range(POLISH):
        wins = expit(slope * (race - constant))
        steep = height * wins * (1 - wins)
        a, b, left = steep * (race - constant), -steep * slope, accuracy(cells, slope, constant) - measured
        aa, ab, bb, ar, br = ((x * y).sum() for x, y in ((a, a), (a, b), (b, b), (a, left), (b, left)))
        if not (determinant := aa * bb - ab * ab) > 0:
            return found
        slope, constant = slope - (ar * bb - br * ab) / determinant, constant - (br * aa - ar * ab) / determinant
    polished = np.array([slope, constant])
    return polished if np.allclose(polished, found, rtol=1e-3, atol=1e-3) else found


def jackknife(points: pd.DataFrame) -> np.ndarray:
    """Slope and constant as pseudo-values of the seeds in their order, [seeds, 2], whose mean is the fit without its
    bias; nan for a single seed."""
    n = points.seed.nunique()
    if n < 2:
        return np.full((n, 2), np.nan)
    without = np.array([fit(points[points.seed != seed]) for seed in sorted(points.seed.unique())])
    return n * fit(points) - (n - 1) * without


def intervals(points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of slope and constant: t intervals around the fit, from a jackknife over seeds."""
    found = fit(points)
    low, high = mean_interval(jackknife(points))
    return found - (high - low) / 2, found + (high - low) / 2


def won(regime: Regime) -> Regime:
    """A regime at the mild densities at which the signal is predicted to win the race by more than its margin.

    Theorem 3 assumes mu >= sigma_n sqrt(d) log d, so that no network memorizes. Here the dense one is made to, and of
    what the theorem says nothing is expected before pruning has let the signal win.
    """
    ahead = {f: predictors(regime.settings, 1 - f)[0] > MARGIN for f in regime.table.fraction.unique()}
    rows = regime.table[regime.table.fraction.map(ahead) & regime.is_mild(regime.table)]
    return replace(regime, table=rows)


def numbers(regime: Regime) -> pd.DataFrame:
    """The numbers that are 0 where theory and prediction are exact, of every seed of a race.

    Columns number, seed, value (nan: too few densities), run (the files it is made of).
    """
    own, inside, rows = of_dimension(regime), won(regime), []
    for seed, constant in zip(sorted(own.seed.unique()), jackknife(own)[:, 1], strict=True):
        one = replace(inside, table=inside.table[inside.table.seed == seed])
        values = {"race-d": constant, "4-zeta-d": _only(zeta_exponents(one)), "4-time-d": _only(time_exponents(one))}
        runs = list(own.run[own.seed == seed])
        rows += [{"number": name, "seed": seed, "value": value, "run": runs} for name, value in values.items()]
    return pd.DataFrame(rows)


def zeta_exponents(regime: Regime) -> np.ndarray:
    """The exponent of max zeta over its scale in density, one a seed."""
    rows = regime.mild_ends()
    return exponents(rows.assign(scaled=rows.zeta_max / regime.noise_scale(1 - rows.fraction)), "scaled")


def _only(values: np.ndarray) -> float:
    return float(values[0]) if len(values) else math.nan


def of_dimension(regime: Regime) -> pd.DataFrame:
    """The points of a regime of the scaling study."""
    return points(regime, experiment=regime.name, swept="dimension", value=regime.settings.data.dimension)
