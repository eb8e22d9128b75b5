"""The step `claims`: every claim of the paper as one number, with an interval, a test and a verdict.

The rules stand in `theorems.py`, `mechanism.py` and `practice.py`, each with its reason; the words in `evidence.py`.
One family of tests is the table of one configuration. What holds by construction (gamma = 0 without signal neurons,
the recursions of Definition 14) is no claim here.
"""

import argparse
from typing import Annotated

import pandas as pd
from pydantic import Field

from ..config.base import read
from ..figures import CLAIMS
from ..files import atomic, used, write_json
from ..images.settings import ImageSettings
from ..two_layer.settings import TwoLayerSettings
from . import mechanism, theorems
from .evidence import INCONCLUSIVE, NOT_RUN, Claim, decide
from .practice import not_run, real_data_claims
from .selection import EPS, Regime, split_regimes

Either = Annotated[TwoLayerSettings | ImageSettings, Field(discriminator="kind")]
SWEPT = {"boundary": "init_std"}

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
    "Practice: random pruning stays competitive up to the sparsity that the paper names.": ("practice-random",),
    "Practice: training accuracy drops later than test accuracy.": ("practice-knee",),
    "Practice: pruning at initialization can test better than dense.": ("practice-boost",),
}


def claims(tables: dict[str, pd.DataFrame], settings: dict[str, TwoLayerSettings]) -> dict:
    """All claims, decided, and the table of missing classes; those from practice as far as their tables are given."""
    regimes = {name: split_regimes(name, tables[name], settings[name], SWEPT.get(name)) for name in CLAIMS}
    found = theory_claims(regimes) + real_data_claims(tables)
    named = regimes["condition2"] + regimes["boundary"] + regimes["overprune"]
    return {"claims": decide([*found, *not_run(tables)]), "missing_classes": missing_classes(named)}


def theory_claims(regimes: dict[str, list[Regime]]) -> list[Claim]:
    """The claims about the theory's own model, in the paper's order."""
    condition2, boundary = regimes["condition2"][0], regimes["boundary"]
    one = {name: found[0] for name, found in regimes.items()}
    mild = [condition2, *boundary]
    return [
        *(theorems.success(regime) for regime in mild),
        *(claim for regime in mild for claim in theorems.generalization_gap(regime)),
        theorems.gap_at_fixed_steps(one["trajectories"]),
        *(theorems.best_improvement(regime) for regime in boundary),  # in `condition2` dense has no error to improve on
        *theorems.over_pruning(one["overprune"]),
        *(claim for regime in mild for claim in theorems.noise_coefficients(regime)),
        theorems.time_to_learn(condition2),
        theorems.width(one["width_mild"]),
        *mechanism.causal_claims(one["causes"], one["dense_signal"], one["small_init"]),
        *mechanism.initial_correlations(one["lemma4"]),
        *(mechanism.noise_variance(regime) for regime in (condition2, boundary[-1])),
        mechanism.noise_event(one["event"]),
    ]


def missing_classes(regimes: list[Regime]) -> list[dict]:
    """Runs by regime and number of classes without a signal neuron: how many, how many reach EPS, how they test."""
    rows = []
    for regime in regimes:
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
    """The estimate and its interval."""
    return f"{row['estimate']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def table(found: dict) -> str:
    """The claims as Markdown: the paper's in one line each, then every line, then what each regime breaks."""
    rows = found["claims"]
    lines = [
        "# The paper's claims, measured",
        "",
        *headlines(rows),
        "",
        "*Supported* and *contradicted* are said only where the hypotheses hold that a claim's proof needs; where they"
        " do not, what it says *extends* or *does not extend*. Intervals are 95 % t intervals over seeds (binomial"
        " for shares); p is two-sided, adjusted with Holm over all lines. The rules stand in `workflow/winnow/judge/`.",
        "",
        "| claim | regime | statement | statistic | estimate [interval] | n | test | p | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shown = ("", "") if row["verdict"] == NOT_RUN else (number(row), f"{row['p_adjusted']:.2g}")
        cells = [row["id"], row["regime"], row["statement"], row["statistic"], shown[0], row["n"], row["test"]]
        lines.append("| " + " | ".join(map(str, [*cells, shown[1], f"**{row['verdict']}**"])) + " |")
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
    tables = {run.experiment: pd.read_parquet(used(path)) for run, path in zip(runs, options.metrics, strict=True)}
    found = claims(tables, {run.experiment: run.settings for run in runs})
    write_json(options.json, found)
    with atomic(options.markdown) as temporary:
        temporary.write_text(table(found))
