"""What pruning methods owe to their masks: the sanity checks of the literature, on networks small enough for them.

A mask is held against what has lost something of it, at the same seed and fraction: against itself shuffled within each
layer and against itself on initial weights drawn again (Su et al. 2020, "Sanity-checking pruning methods"; Frankle et
al. 2021, "Pruning neural networks at initialization: why are we missing the mark"), against the weights with the lowest
scores (Frankle et al. 2021), against random pruning, and against a small dense network of as many weights. A method
passes a check if the mask as it is tests better.

How much better is one number a seed, the mean over the fractions: a method prunes at all of them, and none is picked.
Better is more than WITHIN points, what "competitive" means everywhere here; a method fails where the mask is shown to
be better by less, or worse. All lines of the page are one family.
"""

from collections.abc import Iterable
from itertools import pairwise

import pandas as pd

from ..errors import WinnowError
from . import practice
from .evidence import BY_CONSTRUCTION, NO_EFFECT, PAIRED, WITHIN, Claim, relevant_evidence
from .missing import experiment, judged
from .selection import to_judge, whole, with_dense

NAMES = {"magnitude": "magnitude", "snip": "SNIP", "grasp": "GraSP", "synflow": "SynFlow", "imp": "IMP"}
NAMES |= {practice.RANDOM: "random pruning"}
CHECKS = {
    "shuffled": "the same masks shuffled within each layer",
    "redrawn": "the same masks on initial weights drawn again",
    "inverted": "masks of the lowest scores",
    "random": "random pruning",
    "small": "small dense networks of as many weights",
}
NETWORKS = ("lenet", "mlp")  # the experiments sanity-<network>, and what belongs to them
WIDTHS = ("narrow", "lenet", "wide")  # the experiments sanity-random-<width>: of one form, each wider than the last
# SynFlow's scores have the same sum in every layer (Tanaka et al. 2020), so that the highest ones are those of the
# smallest layer, the output: who keeps the lowest ones empties it, and guesses.
FORCED = ("synflow", "inverted")
ANSWERS = {WITHIN[True]: "passes", WITHIN[False]: "fails", NO_EFFECT: "fails"}
ANSWERS |= {BY_CONSTRUCTION: "passes by construction"}


def networks(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Of NETWORKS those whose methods were run."""
    return [network for network in NETWORKS if f"sanity-{network}" in tables]


def widths(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Of WIDTHS those that were run."""
    return [width for width in WIDTHS if f"sanity-random-{width}" in tables]


def small(tables: dict[str, pd.DataFrame], network: str, fractions: Iterable[float]) -> pd.DataFrame:
    """The small dense networks that have as many weights as a network pruned at some fractions, as runs at these."""
    names = {fraction: f"sanity-small-{network}-{100 * fraction:g}" for fraction in sorted(set(fractions))}
    return pd.concat(experiment(tables, name).assign(fraction=fraction) for fraction, name in names.items())


def margins(tables: dict[str, pd.DataFrame], network: str) -> pd.DataFrame:
    """Test accuracy of every method minus that of what it is held against, points: one row a seed, method and check.

    Columns method, check, seed, margin (mean over fractions), fractions (how many), run (the files it is made of). A
    pruned network that diverged guesses, and so does a small one. Raises WinnowError where an experiment is missing.
    """
    rows = to_judge(experiment(tables, f"sanity-{network}", "data", "check"))
    rows = rows[rows.fraction > 0]
    if "none" not in set(rows.check):
        raise WinnowError(f"sanity-{network}: needs a pruned fraction, and methods as they are (check none)")
    random = to_judge(experiment(tables, f"sanity-random-{network}"))
    dense = to_judge(small(tables, network, rows.fraction))
    parts = {}
    for method in rows.method.unique():
        own = {check: part for check, part in rows[rows.method == method].groupby("check")}
        as_it_is = own.pop("none", rows[:0])
        others = own | {"random": random, "small": dense}
        parts |= {(method, check): _margin(as_it_is, others[check]) for check in CHECKS if check in others}
    parts[practice.RANDOM, "small"] = _margin(random, dense)
    return pd.concat(parts, names=["method", "check", "seed"]).reset_index()


def _margin(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The mean over common fractions of one test accuracy minus another, by seed; seeds that have them all."""
    pairs = one.merge(other, on=["fraction", "seed"], suffixes=("", "_other"))
    pairs["margin"] = pairs.test_accuracy - pairs.test_accuracy_other
    pairs["run"] = [list(files) for files in zip(pairs.run, pairs.run_other, strict=True)]
    found = pairs.groupby("seed").agg(margin=("margin", "mean"), fractions=("fraction", "nunique"), run=("run", "sum"))
    return found[found.fractions == found.fractions.max()]


def sanity_claims(tables: dict[str, pd.DataFrame]) -> list[Claim]:
    """Every check of every method, and whether what random pruning may take grows with the width; nothing where no
    such experiment is configured."""
    found = []
    for network in networks(tables):
        name = f"sanity-{network}"
        found += judged([f"sanity-{check}" for check in CHECKS], name, lambda n=network: _of_network(tables, n))
    if any(name.startswith("sanity-random-") for name in tables):
        found += judged(["sanity-width"], "sanity-random", lambda: _of_widths(tables))
    return found


def _of_network(tables: dict[str, pd.DataFrame], network: str) -> list[Claim]:
    name = f"sanity-{network}"
    images = tables[name]["data"].iloc[0]
    found = []
    for (method, check), rows in margins(tables, network).groupby(["method", "check"], sort=False):
        found.append(
            Claim(
                f"sanity-{check}",
                f"{name} ({images}), {NAMES[method]}",
                statement=f"networks pruned by {NAMES[method]} test more than {practice.WITHIN:g} points better than"
                f" {CHECKS[check]}",
                statistic=f"difference of test accuracies, mean over {rows.fractions.min()} fractions, points",
                test=f"{PAIRED} against +-{practice.WITHIN:g}",
                figure="sanity",
                found=relevant_evidence(rows.margin, practice.WITHIN),
                forced=(method, check) == FORCED,
            )
        )
    return found


def _of_widths(tables: dict[str, pd.DataFrame]) -> list[Claim]:
    """Whether with growing sparsity the accuracy of the wider of two networks drops later, each from its own dense one.

    The theory's threshold is one of overparameterization: at equal sparsity a wider network keeps more weights. Knees
    are those of `practice.knee_evidence`, at every drop that can be measured.
    """
    there = widths(tables)
    if len(there) < 2:
        raise WinnowError("needs two at least of the experiments " + ", ".join(f"sanity-random-{w}" for w in WIDTHS))
    curves = {width: with_dense(to_judge(tables[f"sanity-random-{width}"]), "test_accuracy") for width in there}
    found = []
    for narrow, wide in pairwise(there):
        one, other = curves[wide].align(curves[narrow], join="inner")
        seeds = whole(one).index.intersection(whole(other).index)
        one, other = one.loc[seeds], other.loc[seeds]
        told = ", ".join(f"{practice.DROPS[k]:g}" for k in practice.told_drops(one, other)) or "no measurable number of"
        statistic = f"pruned fraction at which accuracy has dropped by {told} points, wide minus narrow"
        found.append(
            Claim(
                "sanity-width",
                f"sanity-random ({tables[f'sanity-random-{wide}']['data'].iloc[0]}), {narrow} and {wide}",
                statement="with growing sparsity, random pruning costs the wider network's accuracy later",
                statistic=f"{statistic}, smallest difference",
                test="t-tests of jackknife values, Bonferroni over drops",
                figure="sanity",
                found=practice.knee_evidence(one, other),
            )
        )
    return found


def answers(rows: list[dict]) -> list[str]:
    """One line for each method and network: which checks it passes, which it fails, which are undecided."""
    regimes = {}
    for row in rows:
        check = row["id"].removeprefix("sanity-")
        if check in CHECKS and row["n"]:
            answer = ANSWERS.get(row["verdict"], "undecided")
            regimes.setdefault(row["regime"], {}).setdefault(answer, []).append(check)
    told = {
        regime: "; ".join(
            f"{word} {', '.join(found[word])}"
            for word in (*dict.fromkeys(ANSWERS.values()), "undecided")
            if word in found
        )
        for regime, found in regimes.items()
    }
    return [f"- {regime}: {said}." for regime, said in told.items()]
