"""What pruning methods owe to their masks: the sanity checks of the literature, on networks small enough for them.

A mask is held against what has lost something of it, at the same seed and fraction: against itself shuffled within each
layer and against itself on initial weights drawn again (Su et al. 2020, "Sanity-checking pruning methods"; Frankle et
al. 2021, "Pruning neural networks at initialization: why are we missing the mark"), against the weights with the lowest
scores (Frankle et al. 2021), against random pruning, and against a small dense network of as many weights. A method
passes a check if the mask as it is tests better.

How much better is one number a seed, the mean over the fractions: a method prunes at all of them, and none is picked.
Better is more than COMPETITIVE points, what "competitive" means everywhere here; a method fails where the mask is shown
to be better by less, or worse. All lines of the page are one family.
"""

from functools import partial
from itertools import pairwise

import pandas as pd

from ..analysis.sanity import CHECKS, NAMES, WIDTHS, margins, networks, widths
from ..analysis.selection import COMPETITIVE, Regime, to_judge, whole, with_dense
from ..analysis.stats import least_deviation
from ..errors import WinnowError
from . import practice
from .evidence import BY_CONSTRUCTION, INSIDE, NO_EFFECT, PAIRED, Claim, relevant_evidence
from .rules import or_not_run

# SynFlow's scores have the same sum in every layer (Tanaka et al. 2020), so that the highest ones are those of the
# smallest layer, the output: who keeps the lowest ones empties it, and guesses, if enough is pruned.
FORCED = ("synflow", "inverted")
ANSWERS = {INSIDE[True]: "passes", INSIDE[False]: "fails", NO_EFFECT: "fails"}
ANSWERS |= {BY_CONSTRUCTION: "passes by construction"}


def sanity_claims(experiments: dict[str, Regime]) -> list[Claim]:
    """Every check of every method, and whether what random pruning may take grows with the width; nothing where no
    such experiment is configured."""
    found = []
    for network in networks(experiments):
        ids = [f"sanity-{check}" for check in CHECKS]
        found += or_not_run(ids, f"sanity-{network}", partial(_of_network, experiments, network))
    if any(name.startswith("sanity-random-") for name in experiments):
        found += or_not_run(["sanity-width"], "sanity-random", partial(_of_widths, experiments))
    return found


def _of_network(experiments: dict[str, Regime], network: str) -> list[Claim]:
    name, compared, claims = f"sanity-{network}", margins(experiments, network), []
    images = experiments[name].table["data"].iloc[0]
    for (method, check), rows in compared.groupby(["method", "check"], sort=False):
        floor = 100 * least_deviation(rows.margin / 100, rows.test_examples.iloc[0])
        found = relevant_evidence(rows.margin, COMPETITIVE, floor)
        lost = f" ({rows.diverged.sum()} of their runs diverged: these guess)" if rows.diverged.any() else ""
        claims.append(
            Claim(
                f"sanity-{check}",
                f"{name} ({images}), {NAMES[method]}",
                statement=f"networks pruned by {NAMES[method]} test more than {COMPETITIVE:g} points better than"
                f" {CHECKS[check]}{lost}",
                statistic=f"difference of test accuracies, mean over {rows.fractions.min()} fractions, points",
                test=f"{PAIRED} against +-{COMPETITIVE:g}",
                found=found,
                forced=(method, check) == FORCED and found.low > COMPETITIVE,
            )
        )
    return claims


def _of_widths(experiments: dict[str, Regime]) -> list[Claim]:
    """Whether with growing sparsity the accuracy of the wider of two networks drops later, each from its own dense one.

    The theory's threshold is one of overparameterization: at equal sparsity a wider network keeps more weights.
    """
    there = widths(experiments)
    if len(there) < 2:
        raise WinnowError("needs two at least of the experiments " + ", ".join(f"sanity-random-{w}" for w in WIDTHS))
    tables = {width: to_judge(experiments[f"sanity-random-{width}"].table) for width in there}
    curves = {width: with_dense(table, "test_accuracy") for width, table in tables.items()}
    found = []
    for narrow, wide in pairwise(there):
        one, other = curves[narrow].align(curves[wide], join="inner")
        ahead = practice.lead(*(curve.loc[whole(one + other).index] for curve in (one, other)))
        images, examples = tables[wide]["data"].iloc[0], tables[wide].test_examples.iloc[0]
        found.append(
            practice.later_claim(
                "sanity-width",
                f"sanity-random ({images}), {narrow} and {wide}",
                "random pruning costs the wider network's accuracy later"
                + practice.told_diverged(pd.concat([tables[narrow], tables[wide]])),
                "drop of the narrower minus drop of the wider network's test accuracy",
                ahead,
                pd.Series(100 * least_deviation(ahead / 100, examples), ahead.columns),
            )
        )
    return found


def sanity_answers(rows: list[dict]) -> list[str]:
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
