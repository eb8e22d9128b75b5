"""The step `claims`: every claim of the paper as one number, with an interval, a test and a verdict.

The rules stand in `theorems.py`, `mechanism.py`, `scaling.py`, `literal.py`, `practice.py` and `sanity.py`, each with
its reason; the words in `evidence.py`. One family of tests is the table of one configuration: what other configurations
judge is another question, of other runs. (Runs that two of them share are judged in one: `claims: false` in the other.)
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from typing import Annotated

import pandas as pd
from pydantic import Field

from ..config.base import Settings, read
from ..figures import CLAIMS
from ..files import atomic, rounded, write_json
from ..images.settings import ImageSettings
from ..two_layer.settings import TwoLayerSettings
from . import mechanism, sanity, theorems
from .evidence import INCONCLUSIVE, LIKELY, NOT_RUN, Claim, decide
from .literal import literal_claims
from .missing import experiment, judged
from .practice import real_data_claims
from .scaling import scaling_claims
from .selection import EPS, Regime, read_metrics, split_regimes, with_examples

Either = Annotated[TwoLayerSettings | ImageSettings, Field(discriminator="kind")]
Find = Callable[[str], list[Regime]]  # the regimes of an experiment, by its name

# The claims that each rule answers, for the lines of those that cannot be judged.
MILD = ("1-draw", "1", "2", "2-eps/10", "4-zeta", "4-cross")
OVER = ("3-train", "3-zeta", "3-accuracy", "3-loss", "4-time-noise")
LEMMA_4 = ("lemma-4-noise", "lemma-4-signal")
FIGURE_1 = ("figure-1-mean", "figure-1-spread", "figure-1-over")

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


def claims(tables: dict[str, pd.DataFrame], settings: dict[str, Settings]) -> dict:
    """All claims, decided, and the table of missing classes; a claim that lacks an experiment is `not run`."""
    tables = {name: with_examples(table, settings[name]) for name, table in tables.items()}
    find = partial(_regimes, tables, settings)
    studies = [*scaling_claims(tables, settings), *literal_claims(tables, settings)]
    found = [*theory_claims(find), *studies, *real_data_claims(tables), *sanity.sanity_claims(tables)]
    found.sort(key=lambda claim: claim.found is None)
    counted = ("condition2", "boundary", "overprune")
    counts = [row for name in counted for row in judged([], name, partial(_each, find, name, missing_classes))]
    return {"claims": decide(found), "missing_classes": counts}


def _regimes(tables: dict[str, pd.DataFrame], settings: dict[str, TwoLayerSettings], name: str) -> list[Regime]:
    """An experiment of the theory as regimes. Raises WinnowError where it is not configured, or of another model."""
    axis = CLAIMS[name]
    table = experiment(tables, name, "classes_missing", *([axis] if axis else []))
    return split_regimes(name, table, settings[name], axis if name == "boundary" else None)


def _each(find: Find, name: str, *rules: Callable) -> list:
    """What some rules, each of a regime, say about every regime of an experiment."""
    found = [rule(regime) for regime in find(name) for rule in rules]
    return [item for part in found for item in (part if isinstance(part, list) else [part])]


def theory_claims(find: Find) -> list[Claim]:
    """The claims about the theory's own model, in the paper's order; `find` gives an experiment's regimes."""

    def causal(rule: Callable, name: str) -> list[Claim]:
        return [rule(find("causes")[0], find(name)[0])]

    mild = (theorems.success, theorems.generalization_gap, theorems.noise_coefficients)
    # `condition2` has no 2-error: its dense networks make no error to improve on.
    found = [
        *judged(MILD, "condition2", partial(_each, find, "condition2", *mild)),
        *judged([*MILD, "2-error"], "boundary", partial(_each, find, "boundary", *mild, theorems.best_improvement)),
        *judged(["2-steps"], "trajectories", partial(_each, find, "trajectories", theorems.gap_at_fixed_steps)),
        *judged(OVER, "overprune", partial(_each, find, "overprune", theorems.over_pruning)),
        *judged(["4-time-signal"], "condition2", partial(_each, find, "condition2", theorems.time_to_learn)),
        *judged(["4-zeta-0"], "start", partial(_each, find, "start", theorems.vanishing)),
        *judged(["4-zeta-0"], "start-orthogonal", partial(_each, find, "start-orthogonal", theorems.vanishing)),
        *judged(["4-gamma"], "width_mild", partial(_each, find, "width_mild", theorems.width)),
        *judged(["4-noise-helps", "4-signal-harms"], "causes", partial(_each, find, "causes", mechanism.target_claims)),
        *judged(["4-dense-signal"], "dense_signal", partial(causal, mechanism.dense_signal_claim, "dense_signal")),
        *judged(["4-not-init"], "small_init", partial(causal, mechanism.small_init_claim, "small_init")),
        *judged(FIGURE_1, "condition2", partial(_each, find, "condition2", mechanism.neurons)),
        *judged(FIGURE_1, "boundary", lambda: mechanism.neurons(find("boundary")[-1])),
        *judged(LEMMA_4, "lemma4", partial(_each, find, "lemma4", mechanism.initial_correlations)),
        *judged(["lemma-8"], "condition2", partial(_each, find, "condition2", mechanism.noise_variance)),
        *judged(["lemma-8"], "boundary", lambda: [mechanism.noise_variance(find("boundary")[-1])]),
        *judged(["lemma-8-event"], "event", partial(_each, find, "event", mechanism.noise_event)),
    ]
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
        *sanity.answers(rows),
        "",
        "*Supported* and *contradicted* are said only where the hypotheses hold that a claim's proof needs; where they"
        " do not, what it says *extends* or *does not extend*. *No effect* is said where an effect is shown to be"
        " smaller than what would matter. What can only come out one way holds *by construction* and is not tested."
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
    lines += ["", "What it breaks of what the proofs of the claims above need (`formulas.hypotheses`):", ""]
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
        cells += [f"{row['test_accuracy']:.3f}", f"{row['test_loss']:.3f}"]
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
    runs = [read(path, Either) for path in options.settings]
    tables = {run.experiment: read_metrics(path) for run, path in zip(runs, options.metrics, strict=True)}
    found = rounded(claims(tables, {run.experiment: run.settings for run in runs}))
    write_json(options.json, found)
    with atomic(options.markdown) as temporary:
        temporary.write_text(table(found), encoding="utf-8")
