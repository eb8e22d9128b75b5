"""The step `claims`: every claim of the paper as one number, with an interval, a test and a verdict.

The rules stand in `theorems.py`, `mechanism.py`, `scaling.py`, `practice.py` and `sanity.py`, each with its reason; the
words in `evidence.py`. One family of tests is the table of one configuration: what other configurations judge is
another question, of other runs. (Runs that two of them share are judged in one: `claims: false` in the other.)
"""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from pydantic import Field

from ..analysis.selection import EPS, Regime, load, needed
from ..catalogue import EXPERIMENTS
from ..files import atomic, rounded, write_json
from ..images.settings import ImageSettings
from ..two_layer.settings import TwoLayerSettings
from . import mechanism, theorems
from .evidence import INCONCLUSIVE, LIKELY, NOT_RUN, Claim, decide
from .practice import practice_claims
from .rules import or_not_run
from .sanity import sanity_answers, sanity_claims
from .scaling import scaling_claims

Either = Annotated[TwoLayerSettings | ImageSettings, Field(discriminator="kind")]


def whole(experiment: Regime, key: str | None) -> list[Regime]:
    """An experiment as one regime."""
    return [experiment]


def last(experiment: Regime, key: str | None) -> list[Regime]:
    """An experiment at the largest value of its swept key."""
    return experiment.at_each(key)[-1:]


MILD = (theorems.success, theorems.generalization_gap, theorems.noise_coefficients)
RULES = {
    "mild": (whole, MILD),  # without 2-error: these dense networks make no error to improve on
    "rescued": (Regime.at_each, (*MILD, theorems.best_improvement)),
    "steps": (whole, (theorems.gap_at_fixed_steps,)),
    "over": (whole, (theorems.over_pruning, theorems.time_to_memorize)),
    "time to learn": (whole, (theorems.time_to_learn,)),
    "vanishing": (whole, (theorems.vanishing,)),
    "width": (whole, (theorems.width,)),
    "target": (whole, (mechanism.target,)),
    "dense signal": (whole, (mechanism.dense_signal,)),
    "small init": (whole, (mechanism.small_init,)),
    "neurons": (last, (mechanism.neurons,)),
    "correlations": (whole, (mechanism.initial_correlations,)),
    "variance": (last, (mechanism.noise_variance,)),
    "event": (whole, (mechanism.noise_event,)),
}
"""The rules about the theory's own model, as the catalogue calls them, and which parts of an experiment they judge."""
COUNTED = ("mild", "rescued", "over")  # where the classes without a signal neuron are counted

# The paper's claims in its own order, and the rows that answer each with one number.
HEADLINES = {
    "Claim 1: below a threshold, pruned networks reach train loss -> 0 and generalize.": ("1",),
    "Claim 2: in that range, generalization gets better with pruning.": ("2",),
    "Claim 3: far above it, the train loss still goes to zero, and the test performance is that of guessing.": (
        "3-train",
        "3-accuracy",
    ),
    "Claim 4: because pruning changes which features are learned: mild pruning takes noise, over-pruning the signal.": (
        "4-noise-helps",
        "4-signal-harms",
    ),
    "Practice: random pruning stays competitive with IMP up to the sparsity that the paper names.": (
        "practice-random",
        "practice-random-lenet",
    ),
    "Practice: training accuracy drops later than test accuracy.": ("practice-knee",),
    "Practice: pruning at initialization can test better than dense.": ("practice-boost",),
}


def claims(experiments: dict[str, Regime]) -> dict:
    """All claims, decided, and the table of missing classes; a claim that lacks an experiment is `not run`."""
    studies = [*scaling_claims(experiments), *practice_claims(experiments), *sanity_claims(experiments)]
    found = [*theory_claims(experiments), *studies]
    found.sort(key=lambda claim: claim.found is None)
    counts = [row for rule in COUNTED for row in _judge(experiments, rule, Regime.at_each, (missing_classes,))]
    return {"claims": decide(found), "missing_classes": counts}


def _judge(experiments: dict[str, Regime], rule: str, parts: Callable, functions: Sequence[Callable]) -> list:
    """What some functions say about every part of every experiment that a rule judges."""
    found = []
    for name, asked in EXPERIMENTS.items():
        if rule in asked.judged:
            ids = [claim for function in functions for claim in getattr(function, "ids", ())]
            found += or_not_run(ids, name, partial(_about, experiments, name, parts, functions))
    return found


def _about(experiments: dict[str, Regime], name: str, parts: Callable, functions: Sequence[Callable]) -> list:
    asked = EXPERIMENTS[name]
    one = needed(experiments, name, "classes_missing", asked.swept)
    beside = [needed(experiments, asked.beside)] if asked.beside else []
    regimes = parts(one, asked.swept)
    return [row for regime in regimes for function in functions for row in function(regime, *beside)]


def theory_claims(experiments: dict[str, Regime]) -> list[Claim]:
    """The claims about the theory's own model, in the paper's order."""
    found = [claim for rule, judge in RULES.items() for claim in _judge(experiments, rule, *judge)]
    order = {"1": 1, "2": 2, "3": 3, "4": 4}
    return sorted(found, key=lambda claim: order.get(claim.id[0], 5))


def missing_classes(regime: Regime) -> list[dict]:
    """Runs by number of classes without a signal neuron: how many, how many reach EPS, how they test."""
    rows = []
    for missing, part in regime.ends().groupby("classes_missing"):
        rows.append(
            {
                "regime": regime.name,
                "classes_missing": int(missing),
                "runs": len(part),
                "reached": int(part.reached.sum()),
                "test_accuracy": float(1 - part.test_error.mean()),
                "test_loss": float(part.test_loss.mean()),
            }
        )
    return rows


def headlines(rows: list[dict]) -> list[str]:
    """One line for each claim of the paper: what it says, the verdict where it applies, its number, and elsewhere."""
    lines = []
    for says, names in HEADLINES.items():
        answers = [_answer([row for row in rows if row["id"] == name and row["verdict"] != NOT_RUN]) for name in names]
        if all(answers):
            lines.append(f"- {says} {' '.join(answers)}")
    return lines


def _answer(rows: list[dict]) -> str:
    """The verdict where a claim applies, or most nearly does, with the most seeds; then in other regimes."""
    if not rows:
        return ""
    first, *others = sorted(rows, key=lambda row: (len(row["broken"]), -row["n"]))
    word = first["verdict"].capitalize()
    word += " (outside its hypotheses)" if first["broken"] and first["verdict"] == INCONCLUSIVE else ""
    answer = f"**{word}** in {first['regime']}: {first['statistic']} {number(first)}, n = {first['n']}"
    return answer + "".join(f"; {row['verdict']} in {row['regime']}" for row in others) + "."


def number(row: dict) -> str:
    """The estimate and its interval, which one seed does not have; empty where nothing was measured."""
    if math.isnan(row["estimate"]):
        return ""
    return f"{row['estimate']:.3g}" + ("" if math.isnan(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]")


def p_value(p: float) -> str:
    """As it is printed: one that underflows is small, not 0, and one of nothing judged is empty."""
    if math.isnan(p):
        return ""
    return f"{p:.2g}" if p > 0 else "< 1e-300"


def table(found: dict) -> str:
    """The claims as Markdown: the paper's in one line each, then every line, then what each regime breaks."""
    rows = found["claims"]
    tested = sum(not math.isnan(row["p_value"]) for row in rows)
    lines = [
        "# The paper's claims, measured",
        "",
        *headlines(rows),
        *sanity_answers(rows),
        "",
        "*Supported* and *contradicted* are said only where the hypotheses hold that a claim's proof needs; where they"
        " do not, what it says *extends* or *does not extend*. *No effect* is said where an effect is shown to be"
        " smaller than what would matter. What can only come out one way is so *by construction*: it is not tested."
        " Seeds that say nothing of their spread, one or all alike, are *not judged*. That a share is above"
        f" {LIKELY:g} takes some 100 runs: of fewer it can be refuted, and hardly supported. Intervals are 95 %"
        " t intervals over seeds (binomial for shares); those of a worst fraction hold the worst one, whichever it is."
        f" p is two-sided, adjusted with Holm over the {tested} lines of this page that were tested, which are one"
        " family; the same claim on another page, of other runs, is in another. The rules stand in"
        " `workflow/winnow/judge/`.",
        "",
        "| claim | regime | statement | statistic | estimate [interval] | n | test | p | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["id"], row["regime"], row["statement"], row["statistic"], number(row), row["n"], row["test"]]
        lines.append("| " + " | ".join(map(str, [*cells, p_value(row["p_adjusted"]), f"**{row['verdict']}**"])) + " |")
    lines += [
        "",
        "What each regime breaks of Condition 2 as printed (hidden constants 1), which no run can meet in full:",
        "",
    ]
    lines += _by_regime(rows, "condition2_violations")
    lines += ["", "What it breaks of what the proofs of the claims above need (`analysis/hypotheses.py`):", ""]
    lines += _by_regime(rows, "broken")
    lines += [
        "",
        "Runs by number of classes without a signal neuron:",
        "",
        f"| regime | classes missing | runs | reach train loss {EPS:g} | test accuracy | test loss |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["missing_classes"]:
        cells = [row["regime"], row["classes_missing"], row["runs"], row["reached"]]
        cells += ["" if math.isnan(row[key]) else f"{row[key]:.3f}" for key in ("test_accuracy", "test_loss")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _by_regime(rows: list[dict], key: str) -> list[str]:
    items: dict[str, dict] = {}
    for row in rows:
        items.setdefault(row["regime"], {}).update(dict.fromkeys(row[key]))
    return [f"- {regime}: {'; '.join(f'`{item}`' for item in found)}" for regime, found in items.items() if found]


def main(arguments: list[str]) -> None:
    """Judge every claim from the metrics of its experiments."""
    parser = argparse.ArgumentParser(prog="python workflow claims", description=main.__doc__)
    parser.add_argument("--settings", nargs="+", required=True, help="experiment.json of each experiment")
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics.parquet of each, in the same order")
    parser.add_argument("--json", required=True, help="the claims for machines")
    parser.add_argument("--markdown", required=True, help="the claims as a table to read")
    options = parser.parse_args(arguments)
    experiments = load(Either, options.settings, options.metrics)
    found = rounded(claims({one.name: one for one in experiments}))
    write_json(options.json, found)
    with atomic(options.markdown) as temporary:
        temporary.write_text(table(found), encoding="utf-8")
