"""What the runs on real images say about the paper's claims from practice, as numbers over seeds.

The unit is the seed and every comparison is paired: a pruned network against the dense network of the same seed (the
same images held out, the same initial weights, the same order of examples). Accuracies are in percent.

A run that diverged has no accuracy: it is in no mean. To the claims a pruned network that diverged is one that guesses;
where the dense one did, nothing can be compared with it, and its seed is left out.
"""

import math

import numpy as np
import pandas as pd

from ..errors import WinnowError
from . import stats
from .missing import NOT_RUN, experiment, judged

WITHIN = 0.5  # points of accuracy: "as good as dense" and "has dropped" (our choice)
NETWORKS = {"fig3a": "", "fig3b": "-vgg", "fig4": "-resnet"}  # what the names of their claims end in
PAPER_SPARSITY = {"fig3a": 0.79, "fig3b": 0.36}  # below it random pruning "stays competitive" (p. 13)
RANDOM = "bernoulli"
GUESSING = 10.0  # per cent of ten classes


def final(table: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of every run, with train_accuracy and test_accuracy in percent, NaN if it diverged."""
    axes = [key for key in ("method", "sigma", "fraction", "seed") if key in table]
    last = table.groupby(axes, sort=False).tail(1)
    ended = last[["train_error", "test_error"]].where(last.status != "diverged")
    return last.assign(train_accuracy=100 * (1 - ended.train_error), test_accuracy=100 * (1 - ended.test_error))


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


def competitive_sparsity(mean_gains: np.ndarray, fractions: np.ndarray) -> float:
    """The largest fraction up to which, without a gap, the mean gain is at least -WITHIN (0 if there is none)."""
    worse = np.flatnonzero(np.asarray(mean_gains) < -WITHIN)
    passed = fractions[: worse[0]] if len(worse) else fractions
    return float(passed[-1]) if len(passed) else 0.0


def knees(wide: pd.DataFrame) -> np.ndarray:
    """For each seed, the fraction at which accuracy [seed, fraction] has dropped WITHIN points below its dense value.

    Linear in -log(density) between two fractions; the largest fraction where it never drops that far.
    """
    x = -np.log1p(-wide.columns.to_numpy(float))
    found = []
    for drops in wide.to_numpy() - wide[[0.0]].to_numpy() + WITHIN:
        below = np.flatnonzero(drops < 0)
        if len(below) == 0:
            found.append(x[-1])
            continue
        k = below[0]
        found.append(x[k - 1] + (x[k] - x[k - 1]) * drops[k - 1] / (drops[k - 1] - drops[k]))
    return -np.expm1(-np.array(found))


def comparisons(rows: pd.DataFrame) -> pd.DataFrame:
    """Every method and fraction against dense: columns method, fraction, gain, low, high, n, p_better, p_worse.

    Gains are means over seeds in points with a 95 % interval; the p-values, from paired one-sided t-tests, are
    adjusted with Holm over all methods and fractions.
    """
    parts = []
    for method, part in rows.groupby("method", sort=False):
        wide = whole(gains(part))
        low, high = stats.mean_interval(wide.to_numpy())
        better, worse = zip(*(stats.one_sided(column) for column in wide.to_numpy().T), strict=True)
        means = wide.mean().to_numpy()
        found = {"fraction": wide.columns, "gain": means, "low": low, "high": high, "n": len(wide)}
        parts.append(pd.DataFrame({"method": method, **found, "p_better": better, "p_worse": worse}))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(**{p: stats.holm(table[p].to_numpy()) for p in ("p_better", "p_worse")})


def real_data_claims(tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Rows for the table of claims from the metrics of `fig3a`, `fig3b`, `fig4`, `methods` and `noisy`; those that lack
    an experiment are `not run`.

    Keys: id, regime (the data), condition2_violations (always empty: no data of the theory's model), statement,
    statistic, estimate, low, high, n, test, p_value, p_against, figure, data. Not yet adjusted over claims.
    """
    return [
        *judged(["practice-random", "practice-knee"], "fig3a", lambda: network_claims(tables, "fig3a")),
        *judged(["practice-random-vgg", "practice-knee-vgg"], "fig3b", lambda: cifar10_claims(tables, "fig3b")),
        *judged(["practice-knee-resnet"], "fig4", lambda: cifar10_claims(tables, "fig4")),
        *judged(["practice-boost"], "methods", lambda: [boost_claim(to_judge(experiment(tables, "methods", "data")))]),
        *judged(
            ["practice-noise"], "noisy", lambda: [noise_claim(to_judge(experiment(tables, "noisy", "data", "sigma")))]
        ),
    ]


def network_claims(tables: dict[str, pd.DataFrame], figure: str) -> list[dict]:
    """The claims on random pruning of one of the NETWORKS."""
    table = to_judge(experiment(tables, figure, "data"))
    random = table[table.method == RANDOM]
    return [*([competitive_claim(random, figure)] if figure in PAPER_SPARSITY else []), knee_claim(random, figure)]


def cifar10_claims(tables: dict[str, pd.DataFrame], figure: str) -> list[dict]:
    """The same; where they were not measured, for want of data and a GPU, they say what would have been."""
    if figure in tables:
        return network_claims(tables, figure)
    nothing = pd.DataFrame({"data": ["cifar10"], "status": [""]})
    unknown = (math.nan, math.nan, math.nan, 0, math.nan, math.nan)
    rows = [_competitive_row(nothing, figure, PAPER_SPARSITY[figure], unknown)] if figure in PAPER_SPARSITY else []
    rows.append(_knee_row(nothing, figure, unknown))
    return [row | dict.fromkeys(("p_adjusted", "p_against_adjusted"), math.nan) | {"verdict": NOT_RUN} for row in rows]


def competitive_claim(random: pd.DataFrame, figure: str) -> dict:
    """Random pruning is competitive up to the paper's sparsity; the estimate is how far it is here."""
    wide = whole(gains(random))
    fractions = wide.columns.to_numpy(float)
    estimate = competitive_sparsity(wide.mean().to_numpy(), fractions)
    draws = _resampled(wide.to_numpy(), lambda means: competitive_sparsity(means, fractions))
    tested = fractions[np.abs(fractions - PAPER_SPARSITY[figure]).argmin()]
    p_for, p_against = stats.one_sided(wide[tested].to_numpy(), -WITHIN)
    found = (estimate, *np.quantile(draws, [0.025, 0.975]), len(wide), p_for, p_against)
    return _competitive_row(random, figure, tested, found)


def _competitive_row(rows: pd.DataFrame, figure: str, tested: float, found: tuple) -> dict:
    return _row(
        f"practice-random{NETWORKS[figure]}",
        rows,
        f"randomly pruned networks stay within {WITHIN:g} points of the dense one up to {PAPER_SPARSITY[figure]:.0%}"
        " sparsity",
        "largest pruned fraction with mean test accuracy that close",
        f"paired t-test at fraction {tested:g}",
        figure,
        found,
    )


def knee_claim(random: pd.DataFrame, figure: str) -> dict:
    """The training error decreases later than the testing error (p. 13)."""
    train, test = (whole(with_dense(random, f"{split}_accuracy")) for split in ("train", "test"))
    return _knee_row(random, figure, _mean(knees(train) - knees(test)))


def _knee_row(rows: pd.DataFrame, figure: str, found: tuple) -> dict:
    return _row(
        f"practice-knee{NETWORKS[figure]}",
        rows,
        "with growing sparsity, training accuracy drops later than test accuracy",
        f"pruned fraction at which accuracy is {WITHIN:g} points below dense, training minus test",
        "paired t-test over seeds",
        figure,
        found,
    )


def boost_claim(rows: pd.DataFrame) -> dict:
    """Pruning at initialization sometimes boosts test performance (abstract)."""
    table = comparisons(rows)
    best = table.loc[table.gain.idxmax()]
    return _row(
        "practice-boost",
        rows,
        "some method at some fraction has a higher test accuracy than the dense network",
        f"largest mean gain, points ({best.method} at fraction {best.fraction:g})",
        "paired t-tests, Holm over methods and fractions",
        "methods",
        (best.gain, best.low, best.high, int(best.n), table.p_better.min(), table.p_worse.max()),
    )


def noise_claim(rows: pd.DataFrame) -> dict:
    """Pruning removes noise (section 3), so it should help more where the pixels are noisier."""
    slopes = []
    wide = pd.concat({sigma: whole(gains(part)) for sigma, part in rows.groupby("sigma")}, names=["sigma"])
    for _, part in wide.groupby("seed"):
        if len(part) > 1:
            slopes.append(np.polyfit(part.index.get_level_values("sigma"), part.mean(axis=1), 1)[0])
    return _row(
        "practice-noise",
        rows,
        "random pruning gains more (or loses less) where pixels are noisier",
        "slope of the gain over dense, mean over fractions, on the noise's standard deviation, points",
        "t-test of paired slopes",
        "noisy",
        _mean(np.array(slopes)),
    )


def _mean(values: np.ndarray) -> tuple:
    """Estimate, interval, seeds and p-values of a mean over seeds."""
    low, high = stats.mean_interval(values)
    return float(values.mean()), float(low), float(high), len(values), *stats.one_sided(values)


def _resampled(values: np.ndarray, statistic) -> np.ndarray:
    """A statistic of the mean over seeds, under resampling of the seeds; values is [seeds, ...]."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(2000, len(values)))
    return np.array([statistic(values[draw].mean(axis=0)) for draw in draws])


def _row(name: str, rows: pd.DataFrame, statement: str, statistic: str, test: str, figure: str, found: tuple) -> dict:
    keys = ("estimate", "low", "high", "n", "p_value", "p_against")
    evidence = dict(
        zip(keys, (float(v) if k != "n" else int(v) for k, v in zip(keys, found, strict=True)), strict=True)
    )
    diverged = int((rows.status == "diverged").sum())
    if diverged:
        statistic += f" ({diverged} of {len(rows)} runs diverged: pruned ones guess, dense ones leave their seeds out)"
    return {
        "id": name,
        "regime": str(rows["data"].iloc[0]),
        "condition2_violations": [],
        "statement": statement,
        "statistic": statistic,
        **evidence,
        "test": test,
        "figure": figure,
        "data": f"results/figures/{figure}.data.parquet",
    }
