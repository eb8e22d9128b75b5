"""The checks of masks: which runs are held against which, for the figure and for the claims (judge/sanity.py)."""

from collections.abc import Iterable

import pandas as pd

from ..errors import WinnowError
from ..images.memory import layers, stored_images
from ..images.methods import METHODS
from ..images.settings import ImageSettings
from .selection import Regime, needed, to_judge

RANDOM = "bernoulli"
NAMES = {name: method.label.removesuffix(" (after training)") for name, method in METHODS.items() if method.by_score}
NAMES |= {RANDOM: "random pruning"}
CHECKS = {
    "shuffled": "the same masks shuffled within each layer",
    "redrawn": "the same masks on initial weights drawn again",
    "inverted": "masks of the lowest scores",
    "random": "random pruning",
    "small": "small dense networks of as many weights",
}
NETWORKS = ("lenet", "mlp")  # the experiments sanity-<network>, and what belongs to them
ALIKE = 0.07  # of the weights that a small network has to have: its layers are of the large one's form, and whole
WIDTHS = ("narrow", "lenet", "wide")  # the experiments sanity-random-<width>: of one form, each wider than the last


def networks(experiments: dict[str, Regime]) -> list[str]:
    """Of NETWORKS those whose methods were run."""
    return [network for network in NETWORKS if f"sanity-{network}" in experiments]


def widths(experiments: dict[str, Regime]) -> list[str]:
    """Of WIDTHS those that were run."""
    return [width for width in WIDTHS if f"sanity-random-{width}" in experiments]


def small(experiments: dict[str, Regime], network: str, fractions: Iterable[float]) -> pd.DataFrame:
    """The small dense networks that have as many weights as a network pruned at some fractions, as runs at these.

    Raises WinnowError where one is missing, is pruned, or has not as many, to ALIKE.
    """
    parts = []
    for fraction in sorted(set(fractions)):
        one = needed(experiments, f"sanity-small-{network}-{100 * fraction:g}")
        has, asked = weights(one.settings), weights(experiments[f"sanity-{network}"].settings, fraction)
        if one.table.fraction.any() or abs(has - asked) > ALIKE * asked:
            raise WinnowError(
                f"`{one.name}`: needs a dense network, fraction 0, of {asked:,.0f} weights; it has {has:,.0f}"
            )
        parts.append(one.table.assign(fraction=fraction))
    return pd.concat(parts)


def weights(settings: ImageSettings, fraction: float = 0.0) -> float:
    """How many weights a network has left of those that can be pruned; biases never are."""
    _, shape = stored_images(settings.data)
    counts = [count for count, _ in layers(settings.model, shape)]
    return sum(counts) - fraction * sum(counts if settings.pruning.prune_output else counts[:-1])


def margins(experiments: dict[str, Regime], network: str) -> pd.DataFrame:
    """Test accuracy of every method minus that of what it is held against, points: one row a seed, method and check.

    Columns method, check, seed, margin (mean over fractions), fractions (how many), test_examples, diverged (runs), run
    (the files it is made of). A pruned network that diverged guesses, and so does a small one. Raises WinnowError where
    an experiment is missing.
    """
    rows = to_judge(needed(experiments, f"sanity-{network}", "data", "check").table)
    rows = rows[rows.fraction > 0]
    if "none" not in set(rows.check):
        raise WinnowError(f"sanity-{network}: needs a pruned fraction, and methods as they are (check none)")
    random = to_judge(needed(experiments, f"sanity-random-{network}").table)
    dense = to_judge(small(experiments, network, rows.fraction))
    parts = {}
    for method in rows.method.unique():
        own = {check: part for check, part in rows[rows.method == method].groupby("check")}
        as_it_is = own.pop("none", rows[:0])
        others = own | {"random": random, "small": dense}
        parts |= {(method, check): _margin(as_it_is, others[check]) for check in CHECKS if check in others}
    parts[RANDOM, "small"] = _margin(random, dense)
    return pd.concat(parts, names=["method", "check", "seed"]).reset_index()


def _margin(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The mean over common fractions of one test accuracy minus another, by seed; seeds that have them all."""
    pairs = one.merge(other, on=["fraction", "seed"], suffixes=("", "_other"))
    pairs["margin"] = pairs.test_accuracy - pairs.test_accuracy_other
    pairs["diverged"] = (pairs[["status", "status_other"]] == "diverged").sum(axis=1)
    pairs["run"] = [list(files) for files in zip(pairs.run, pairs.run_other, strict=True)]
    found = pairs.groupby("seed").agg(
        margin=("margin", "mean"),
        fractions=("fraction", "nunique"),
        test_examples=("test_examples", "first"),
        diverged=("diverged", "sum"),
        run=("run", "sum"),
    )
    return found[found.fractions == found.fractions.max()]
