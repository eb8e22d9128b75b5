"""Which rows of which runs count: the one place that figures and claims ask (tables have metrics.parquet's columns).

Losses are compared at the first evaluation with train loss <= EPS. A run that does not get there is judged at its last
evaluation: it is a result, and it is left out only where a function says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from ..config.base import Settings, canonical, read
from ..errors import WinnowError
from ..files import read_table
from ..paper import formulas
from .stats import slope

EPS = 0.01  # the train loss at which runs are compared, nats; a tenth of it for the claims that say so
GOOD_ACCURACY = 0.95
COMPETITIVE = 0.5  # points of accuracy that a competitive network may be worse (our choice)
RUN = ["fraction", "seed"]
EXAMPLES = ["train_examples", "test_examples"]
DRAWN = ["classes_missing", "classes_dead"]  # which mask and initial weights decide
GUESSING = 10.0  # per cent of ten classes


def read_metrics(path: str | Path) -> pd.DataFrame:
    """A table of runs to judge or draw, with every number float64: of a float32 column, means and logarithms would be
    float32 too, and their last digits those that `rounded` keeps."""
    table = read_table(path).to_pandas()
    return table.astype(dict.fromkeys(table.select_dtypes("float32"), float))


@dataclass(frozen=True)
class Regime:
    """One experiment, or the part of it at one value of its swept key: its runs and the settings they share."""

    name: str
    table: pd.DataFrame
    """Every evaluation of every run."""
    settings: Settings

    @classmethod
    def of(cls, name: str, table: pd.DataFrame, settings: Settings) -> Self:
        """A whole experiment; of how many examples a seed's errors are shares (EXAMPLES, NaN if unknown) is added."""
        return cls(name, table.assign(**dict(zip(EXAMPLES, settings.data.examples, strict=True))), settings)

    @property
    def swept(self) -> str | None:
        """The key that the runs differ in, beside the method; None: no key."""
        return next((key for key in self.table if key in self.settings.sweepable() and key != "method"), None)

    def at_each(self, key: str | None) -> list[Self]:
        """One regime for every value of a swept key, ascending. Raises WinnowError where it is not swept."""
        if key is None:
            return [self]
        if key not in self.table:
            raise WinnowError(f"needs `{key}` in the runs of `{self.name}`")
        parts = {canonical(value): part for value, part in self.table.groupby(key)}
        return [Regime(f"{self.name}, {key} {at}", part, self.settings.at({key: at})) for at, part in parts.items()]

    @property
    def mild_density(self) -> float:
        """The smallest density of Theorem 3's range here."""
        return formulas.mild_density(self.settings.model.width, self.settings.data.dimension)

    @property
    def level(self) -> float:
        """m^(-1/q), which what is learned of a signal, or memorized instead, must reach (Theorems 3 and 9)."""
        return formulas.feature_scale(self.settings.model.width, self.settings.model.power)

    @property
    def size(self) -> tuple[int, int, int, float]:
        """K, m, d and sigma_0, as formulas take them."""
        data, model = self.settings.data, self.settings.model
        return data.classes, model.width, data.dimension, model.init_std

    def noise_scale(self, density: np.ndarray) -> np.ndarray:
        """The size of zeta and omega at some densities (Theorem 3)."""
        data, model = self.settings.data, self.settings.model
        return formulas.noise_scale(model.init_std, data.sigma_n, density, data.dimension)

    def noise_bounds(self, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lemma 4's bounds of the largest initial correlations with the noise."""
        return formulas.noise_bounds(*self.size, self.settings.data.sigma_n, density)

    def signal_bounds(self, densities: np.ndarray) -> np.ndarray:
        """Those of the largest ones with a class's own signal, [lower and upper, density]."""
        norm = self.settings.data.signal_norm
        return np.array([formulas.signal_bounds(*self.size, norm, x) for x in densities]).reshape(-1, 2).T

    def event_bounds(self, densities: np.ndarray) -> list[float]:
        """Lemma 8's bounds, which may exceed 1."""
        size = (*self.size, self.settings.data.sigma_n)
        return [formulas.event_bound(*size, x, self.settings.model.event_threshold) for x in densities]

    def is_mild(self, rows: pd.DataFrame) -> pd.Series:
        """Whether runs lie in Theorem 3's range."""
        return 1 - rows.fraction >= self.mild_density - 1e-9

    def ends(self, eps: float = EPS) -> pd.DataFrame:
        """One row a run, where it is compared."""
        return first_below(self.table, eps)

    def mild_ends(self, eps: float = EPS) -> pd.DataFrame:
        """One row a run of Theorem 3's range, where it is compared."""
        rows = self.ends(eps)
        return rows[self.is_mild(rows)]

    def mildly_pruned(self) -> pd.DataFrame:
        """The same without the dense networks, which are in the range and not pruned."""
        rows = self.mild_ends()
        return rows[rows.fraction > 0]

    def starts(self) -> pd.DataFrame:
        """One row a run: before training."""
        return at_step(self.table, 0)


def load(kind: type[Settings], settings: list[str], metrics: list[str]) -> list[Regime]:
    """Experiments from their experiment.json and their metrics.parquet, both in one order."""
    runs = [read(path, kind) for path in settings]
    tables = map(read_metrics, metrics)
    return [Regime.of(run.experiment, table, run.settings) for run, table in zip(runs, tables, strict=True)]


def needed(experiments: dict[str, Regime], name: str, *columns: str | None) -> Regime:
    """An experiment. Raises WinnowError if it is not configured, or its runs lack a column."""
    if name not in experiments:
        raise WinnowError(f"needs the experiment `{name}`, which is not configured")
    for column in filter(None, columns):
        if column not in experiments[name].table:
            raise WinnowError(f"needs `{column}` in the runs of `{name}`")
    return experiments[name]


def three_fractions(found: Regime) -> dict[str, float]:
    """Dense, the middle one of the mild fractions, and the largest fraction if it lies beyond these. Raises WinnowError
    where there is no mild one."""
    fractions = np.sort(found.table.fraction.unique())
    mild = np.sort(found.table.fraction[found.is_mild(found.table) & (found.table.fraction > 0)].unique())
    if not len(mild):
        shown = ", ".join(f"{f:g}" for f in fractions)
        raise WinnowError(f"{found.name}: fractions {shown}; needs a pruned one of density >= {found.mild_density:.4g}")
    chosen = {"dense": 0.0, "mild": mild[len(mild) // 2]}
    return chosen if mild[-1] == fractions[-1] else chosen | {"over": fractions[-1]}


def last(table: pd.DataFrame, keys: list[str] = RUN) -> pd.DataFrame:
    """One row a run: its last evaluation."""
    return table.groupby(keys, sort=False).tail(1)


def both_signs(runs: Regime) -> pd.Series:
    """Whether runs of the two-layer network start with output weights of both signs.

    Hidden neurons are not negative: with outputs of one sign a class cannot be fitted, unless training turns one round.
    Where every class has neurons of its own (`class_sums`), all runs count.
    """
    if "positive_outputs" not in runs.table:
        return pd.Series(True, index=runs.table.index)
    return runs.table.positive_outputs.between(1, runs.settings.model.width - 1)


def first_below(table: pd.DataFrame, eps: float, run: list[str] = RUN) -> pd.DataFrame:
    """One row a run: its first evaluation with train loss <= eps (`reached`: it converged, whatever came later), or its
    last one if there is none. Of a run that diverged instead nothing is known (NaN) but what was drawn."""
    reached = table[table.train_loss <= eps].groupby(run, as_index=False).head(1)
    reached = reached.assign(reached=True, status="converged")
    rows = pd.concat([reached, last(table, run).assign(reached=False)]).drop_duplicates(run)
    rows, drawn = rows.sort_values(run, ignore_index=True), table.columns.intersection(DRAWN)
    measured = rows.select_dtypes("float").columns.difference([*run, *EXAMPLES])
    rows[measured] = rows[measured].mask(rows.status == "diverged")
    rows[drawn] = table.groupby(run)[drawn].first().to_numpy()
    return rows


def at_step(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """One row a run: its evaluation after exactly this many steps."""
    return table[table.step == step].sort_values(RUN, ignore_index=True)


def gap(rows: pd.DataFrame) -> pd.Series:
    """Test minus train loss, nats, every class weighing the same in both: about 0 where nothing is memorized.

    Unweighted, chance differences of the classes' shares would be most of it. The balanced train loss is measured at
    eps, at milestones and at the last step only, which is where runs are compared.
    """
    return rows.test_loss_balanced - rows.train_loss_balanced


def without_signal(regime: Regime, rows: pd.DataFrame) -> pd.DataFrame:
    """Claim 3's runs: those in which no class has a signal neuron, at the fractions where that is likelier than not."""
    classes = regime.settings.data.classes
    lost = formulas.class_loss_probability(1 - rows.fraction, regime.settings.model.width)
    return rows[(rows.classes_missing == classes) & (lost**classes >= 0.5)]


def learning_times(regime: Regime) -> pd.DataFrame:
    """One row a run of Theorem 3's range; `steps`: when every class has max gamma >= m^(-1/q), and `predicted`, the log
    of that time up to a constant (both nan where one never has, and where the run diverged)."""
    data, model, starts = regime.settings.data, regime.settings.model, regime.starts()
    ended = regime.table[regime.table.status != "diverged"]
    steps = first_step_above(ended, "gamma_least", regime.level).reset_index()
    rows = starts[regime.is_mild(starts)].merge(steps, on=RUN, how="left")
    size = (model.width, data.classes, model.init_std * data.signal_norm, regime.level, model.power)
    times = {f: formulas.signal_time(1 - f, *size) for f in rows.fraction.unique()}
    return rows.assign(predicted=rows.fraction.map(times).where(rows.steps.notna()))


def time_exponents(regime: Regime) -> np.ndarray:
    """The exponent in density of the time to learn every class, minus the predicted one, one a seed."""
    rows = learning_times(regime)
    return slopes_by_seed(rows, np.log(1 - rows.fraction), np.log(rows.steps) - rows.predicted)


def width_rows(regime: Regime) -> pd.DataFrame:
    """Runs of every width that reach EPS, at the fractions that are mild at the smallest width and so at all."""
    rows = first_below(regime.table, EPS, ["width", *RUN])
    mild = formulas.mild_density(rows.width.min(), regime.settings.data.dimension)
    return rows[rows.reached & (1 - rows.fraction >= mild - 1e-9)]


def pruned_coordinates(causes: Regime, target: str) -> pd.DataFrame:
    """Runs in which `all`, `noise` or `signal` coordinates were pruned, compared at EPS.

    Raises WinnowError if there are none.
    """
    rows = causes.table[causes.table.target == target]
    if rows.empty:
        raise WinnowError(f"needs runs of `{causes.name}` with target {target}")
    return first_below(rows, EPS)


def as_densities(small_init: Regime, causes: Regime) -> pd.DataFrame:
    """Dense networks with small initial weights, each at the fraction whose pruned network starts with that norm."""
    fraction = (1 - (small_init.table.init_std / causes.settings.model.init_std) ** 2).round(6)
    return first_below(small_init.table.assign(fraction=fraction), EPS)


def first_step_above(table: pd.DataFrame, column: str, level: float) -> pd.Series:
    """The step at which a growing column reaches a level, by run; nan if never.

    Between two evaluations it is interpolated in log(step + 1) and log(column).
    """
    rows = [(*key, _crossing(run.step.to_numpy(), run[column].to_numpy(), level)) for key, run in table.groupby(RUN)]
    types = {"fraction": float, "seed": int, "steps": float}  # those of no rows would be others
    return pd.DataFrame(rows, columns=[*RUN, "steps"]).astype(types).set_index(RUN).steps


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


def slopes_by_seed(rows: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One least-squares slope of y on x a seed, over its finite points; seeds with fewer than three are left out."""
    slopes = []
    for _, seed in pd.DataFrame({"seed": rows.seed, "x": x, "y": y}).groupby("seed"):
        points = seed[np.isfinite(seed.y)]
        if points.x.nunique() >= 3:
            slopes.append(slope(points.x, points.y))
    return np.array(slopes)


def exponents(rows: pd.DataFrame, column: str, of: str = "density") -> np.ndarray:
    """The exponent of a positive column in density (or in another column), one a seed."""
    x = 1 - rows.fraction if of == "density" else rows[of]
    return slopes_by_seed(rows, np.log(x), np.log(rows[column].where(rows[column] > 0)))


def by_seed(rows: pd.DataFrame, column: str) -> pd.Series:
    """The mean of a column over each seed's rows."""
    return rows.groupby("seed")[column].mean()


def final(table: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of runs on images, with train_accuracy and test_accuracy in percent, NaN if one diverged."""
    rows = last(table, [key for key in ("method", "check", "sigma", "width", "fraction", "seed") if key in table])
    ended = rows[["train_error", "test_error"]].where(rows.status != "diverged")
    return rows.assign(train_accuracy=100 * (1 - ended.train_error), test_accuracy=100 * (1 - ended.test_error))


def to_judge(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `final` as the claims see them: a pruned network that diverged guesses."""
    rows = final(table)
    failed = (rows.status == "diverged") & (rows.fraction > 0)
    return rows.assign(
        **{metric: rows[metric].mask(failed, GUESSING) for metric in ("train_accuracy", "test_accuracy")}
    )


def with_dense(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric as [seed, fraction], fraction 0 among them, NaN where a run diverged; rows are of one method.

    Raises WinnowError when there is no dense network.
    """
    wide = rows.pivot(index="seed", columns="fraction", values=metric).sort_index(axis=1)
    if 0.0 not in wide:
        raise WinnowError("fractions: 0 must be one of them, gains are over the dense network of the same seed")
    return wide


def whole(wide: pd.DataFrame) -> pd.DataFrame:
    """The seeds that have every value. Raises WinnowError when none has."""
    if wide.dropna().empty:
        raise WinnowError("needs a dense network that did not diverge")
    return wide.dropna()


def gains(rows: pd.DataFrame, metric: str = "test_accuracy") -> pd.DataFrame:
    """Pruned minus dense of the same seed, in points, as [seed, fraction > 0]; rows are of one method.

    NaN where one of the two diverged. Raises WinnowError when there is no dense network.
    """
    wide = with_dense(rows, metric)
    return wide.drop(columns=0.0).sub(wide[0.0], axis=0)


def memorized(rows: pd.DataFrame) -> pd.Series:
    """The larger one of max zeta and max -omega, by run."""
    return rows[["zeta_max", "omega_max"]].max(axis=1)


def over_bounds(regime: Regime, rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Over Theorem 3's bounds, by run: `memorized`, and max |gamma| of other classes."""
    density = 1 - rows.fraction
    return memorized(rows) / regime.noise_bounds(density)[1], rows.gamma_cross / regime.signal_bounds(density)[1]
