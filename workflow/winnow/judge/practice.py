"""What the runs on real images say about the paper's claims from practice. Each rule stands here with its reason.

The unit is the seed and every comparison is paired: a pruned network against the dense network of the same seed (the
same images held out, the same initial weights, the same order of examples). Accuracies are in percent.

A run that diverged has no accuracy: it is in no mean. To the claims a pruned network that diverged is one that guesses;
where the dense one did, nothing can be compared with it, and its seed is left out.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from ..errors import WinnowError
from .evidence import PAIRED, Claim, Evidence, best_evidence, mean_evidence
from .missing import experiment, judged
from .selection import gains, to_judge, whole, with_dense
from .stats import least_deviation, slope

WITHIN = 0.5  # points of accuracy: "as good as dense" and "has dropped" (our choice)
# What the names of their claims end in. `noisy` at sigma 0 is a small network like figure 3a's, cheap enough for the
# seeds that decide.
NETWORKS = {"fig3a": "", "noisy": "", "fig3b": "-vgg", "fig4": "-resnet"}
PAPER_SPARSITY = {"fig3a": 0.79, "noisy": 0.79, "fig3b": 0.36}  # below it random pruning "stays competitive" (p. 13)
CIFAR = ("fig3b", "fig4")  # need data and a GPU: without them their claims say so
RANDOM = "bernoulli"
TOLD = 2  # standard errors of the difference of two curves


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


def real_data_claims(tables: dict[str, pd.DataFrame]) -> list[Claim]:
    """The claims from practice, from the metrics of `fig3a`, `fig3b`, `fig4`, `methods` and `noisy`; those that lack an
    experiment are not run. No theorem is behind them.
    """

    def judge(names: list[str], name: str, rule: Callable) -> list[Claim]:
        return judged(names, name, lambda: rule(to_judge(experiment(tables, name, "data"))))

    def random(figure: str) -> list[Claim]:
        names = [f"practice-{what}{NETWORKS[figure]}" for what in ("random", "knee")]
        return judge(names[figure not in PAPER_SPARSITY :], figure, partial(network_claims, figure=figure))

    return [
        *random("fig3a"),
        *(random("noisy") if "noisy" in tables else []),  # a second network for the same claims
        *judge(["practice-boost"], "methods", boost_claims),
        *judge(["practice-noise"], "noisy", noise_claims),
        *(claim for figure in CIFAR for claim in (random(figure) if figure in tables else cifar10_claims(figure))),
    ]


def network_claims(table: pd.DataFrame, figure: str) -> list[Claim]:
    """The claims on random pruning of one of the NETWORKS, where pixels carry no added noise."""
    random = table[(table.method == RANDOM) & (table.get("sigma", 0) == 0)]
    return [*([competitive_claim(random, figure)] if figure in PAPER_SPARSITY else []), knee_claim(random, figure)]


def cifar10_claims(figure: str) -> list[Claim]:
    """The same, not measured for want of data and a GPU: they say what would have been."""
    regime = f"{figure} (cifar10)"
    first = [_competitive(figure, regime, "", PAPER_SPARSITY[figure], None)] if figure in PAPER_SPARSITY else []
    return [*first, _knee(figure, regime, "", None)]


def competitive_claim(random: pd.DataFrame, figure: str) -> Claim:
    """Random pruning is competitive at the paper's sparsity (at the nearest fraction that was run)."""
    wide = whole(gains(random))
    fractions = wide.columns.to_numpy(float)
    tested = float(fractions[np.abs(fractions - PAPER_SPARSITY[figure]).argmin()])
    reach = competitive_sparsity(wide.mean().to_numpy(), fractions)
    note = f" (here the mean is within {WITHIN:g} up to {reach:.2g})"
    return _competitive(
        figure,
        _regime(random, figure),
        note + _diverged(random),
        tested,
        mean_evidence(wide[tested].to_numpy(), -WITHIN, _floor(wide[tested], random)),
    )


def _competitive(figure: str, regime: str, note: str, tested: float, found: Evidence | None) -> Claim:
    return Claim(
        f"practice-random{NETWORKS[figure]}",
        regime,
        statement=f"randomly pruned networks stay within {WITHIN:g} points of the dense one up to"
        f" {PAPER_SPARSITY[figure]:.0%} sparsity{note}",
        statistic=f"pruned minus dense test accuracy at fraction {tested:g}, points",
        test=f"{PAIRED} against -{WITHIN:g}",
        figure=figure,
        found=found,
    )


def knee_claim(random: pd.DataFrame, figure: str) -> Claim:
    """The training error decreases later than the testing error (p. 13).

    Where runs end at the last epoch before they reach the train loss, their training accuracy measures how fast they
    train as well as what they can fit: the statement says from which fraction on.
    """
    train, test = (whole(with_dense(random, f"{split}_accuracy")) for split in ("train", "test"))
    short = (random.status == "max_steps").groupby(random.fraction).mean()
    cut = short[short > 0.5].index.min()
    note = f" (from fraction {cut:.2g} on, most runs end at the last epoch, not at the train loss)" if cut >= 0 else ""
    return _knee(figure, _regime(random, figure), note + _diverged(random), mean_evidence(knees(train) - knees(test)))


def _knee(figure: str, regime: str, note: str, found: Evidence | None) -> Claim:
    return Claim(
        f"practice-knee{NETWORKS[figure]}",
        regime,
        statement=f"with growing sparsity, training accuracy drops later than test accuracy{note}",
        statistic=f"pruned fraction at which accuracy is {WITHIN:g} points below dense, training minus test",
        test=PAIRED,
        figure=figure,
        found=found,
    )


def boost_claims(rows: pd.DataFrame) -> list[Claim]:
    """Pruning at initialization sometimes boosts test performance (abstract): the best method and fraction.

    Judged as the best of all (Bonferroni over methods and fractions, for the interval too). `imp` is left out: it
    prunes after training.
    """
    wide = pd.concat({m: gains(part) for m, part in rows.groupby("method") if m != "imp"}, axis=1)
    wide = whole(wide)
    found = best_evidence(wide.to_numpy(), _floor(wide, rows))
    best = wide.mean().idxmax()
    claim = Claim(
        "practice-boost",
        _regime(rows, "methods"),
        statement="some method at some fraction, pruning at initialization, tests better than the dense network"
        + _diverged(rows),
        statistic=f"largest mean gain, points ({best[0]} at fraction {best[1]:g})",
        test=f"{PAIRED}, Bonferroni over {wide.shape[1]} methods and fractions",
        figure="methods",
        found=found,
    )
    return [claim]


def noise_claims(rows: pd.DataFrame) -> list[Claim]:
    """Pruning removes noise (section 3), so it should help more where the pixels are noisier."""
    if "sigma" not in rows:
        raise WinnowError("needs `sigma` in the runs of `noisy`")
    slopes = []
    wide = pd.concat({sigma: whole(gains(part)) for sigma, part in rows.groupby("sigma")}, names=["sigma"])
    for _, part in wide.groupby("seed"):
        if len(part) > 1:
            slopes.append(slope(part.index.get_level_values("sigma"), part.mean(axis=1)))
    claim = Claim(
        "practice-noise",
        _regime(rows, "noisy"),
        statement="random pruning gains more (or loses less) where pixels are noisier" + _diverged(rows),
        statistic="slope of the gain over dense, mean over fractions, on the noise's standard deviation, points",
        test=PAIRED,
        figure="noisy",
        found=mean_evidence(slopes),
    )
    return [claim]


def distances(curves: dict[str, pd.DataFrame], published: pd.DataFrame) -> pd.DataFrame:
    """How far readings of the paper are from its published curve, and whether they are told from the nearest of them.

    Curves have columns x (the fraction) and y, readings also sd and n, over seeds. Compared are the fractions that all
    have, but for 0, where nothing is pruned. Columns fractions: how many these are; distance: root mean square
    difference over them; further: distance minus that of the nearest; margin: what that must exceed for a reading to be
    told from the nearest, TOLD standard errors of the difference of the two curves, root mean square as well, with the
    variance over the seeds of all readings together. The distances of two curves differ by no more than the curves do
    (triangle inequality), however fractions depend on each other: masks are nested, initial weights shared.
    """
    tables = {name: curve.set_index("x") for name, curve in curves.items()}
    y, sd, n = (pd.DataFrame({name: table[column] for name, table in tables.items()}) for column in ("y", "sd", "n"))
    far = y.sub(published.set_index("x").y, axis=0).dropna().drop(index=0.0, errors="ignore")
    distance = np.sqrt((far**2).mean())
    variance = ((sd**2 * (n - 1)).sum(axis=1) / (n - 1).sum(axis=1)).loc[far.index]
    squared = (1 / n.loc[far.index]).mul(variance, axis=0).mean()
    nearest = distance.idxmin() if len(far) else y.columns[0]
    margin = TOLD * np.sqrt(squared + squared[nearest])
    return pd.DataFrame(
        {"fractions": len(far), "distance": distance, "further": distance - distance.min(), "margin": margin}
    )


def _floor(gains: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """The least standard deviation of a seed's gain in test accuracy, points."""
    return 100 * least_deviation(gains / 100, rows.test_examples.iloc[0])


def _diverged(rows: pd.DataFrame) -> str:
    count = int((rows.status == "diverged").sum())
    said = f" ({count} of {len(rows)} runs diverged: pruned ones guess, dense ones leave their seeds out)"
    return said if count else ""


def _regime(rows: pd.DataFrame, experiment: str) -> str:
    return f"{experiment} ({rows['data'].iloc[0]})"
