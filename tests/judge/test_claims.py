"""Every claim is fed data in which it is true, and data in which it is false."""

import itertools
import json
import math
import zlib

import numpy as np
import pandas as pd
import pytest

from winnow.config.base import RunSettings
from winnow.figures import CLAIMS
from winnow.files import write_json
from winnow.judge import claims
from winnow.paper import formulas
from winnow.two_layer.settings import TwoLayerSettings

SEEDS = 20
WIDTH, CLASSES = 100, 4
FRACTIONS = (0.0, 0.5, 0.8, 0.9, 0.99, 0.995, 0.998)
AXES = {
    "boundary": {"init_std": [0.02, 0.1]},
    "width": {"width": [25, 100, 400]},
    "causes": {"target": ["all", "noise", "signal"]},
}


def settings(name: str) -> TwoLayerSettings:
    small = name == "overprune"
    return TwoLayerSettings(
        kind="two_layer",
        data={
            "distribution": "classes",
            "classes": 2 if small else CLASSES,
            "dimension": 2048,
            "sigma_n": 0.07,
            "noise_orthogonal": False,
            "signal": "dense" if name == "dense_signal" else "coordinate",
        },
        model={"width": 20 if small else WIDTH, "power": 3, "init_std": 0.1, "output_layer": "class_sums"},
        training={"loss": "cross_entropy", "learning_rate": 0.5, "eps": 0.001, "milestones": [0.01]},
    )


def tables(true: bool) -> dict[str, pd.DataFrame]:
    """Runs of every experiment in a world where all claims are true, or all are false."""
    sign = 1 if true else -1
    found = {}
    for name in CLAIMS:
        axes = AXES.get(name, {})
        fractions = FRACTIONS
        if name == "small_init":
            axes, fractions = {"init_std": [round(0.1 * math.sqrt(1 - f), 6) for f in FRACTIONS]}, (0.0,)
        rows = []
        for values in itertools.product(*axes.values(), fractions, range(SEEDS)):
            point = dict(zip([*axes, "fraction", "seed"], values, strict=True))
            rows += _run(name, point, true, sign, np.random.default_rng(zlib.crc32(str(values).encode())))
        found[name] = pd.DataFrame(rows)
    return found


def _run(name: str, point: dict, true: bool, sign: int, rng) -> list[dict]:
    fraction = point["fraction"]
    if name == "small_init":
        fraction = 1 - (point["init_std"] / 0.1) ** 2
    density = max(1 - fraction, 1e-3)
    wobble = 1 + 0.02 * rng.standard_normal()
    mild = density > 0.05
    gap = 0.1 * density ** (0.7 * sign) * wobble
    dense = 0.04 if name in ("condition2", "boundary") else 0.1
    error = min(dense * density**sign * wobble, 0.7) if mild else 0.7
    if not true and name in ("condition2", "boundary"):
        error = 0.3 if fraction == 0 else 0.6 * wobble
    target = point.get("target")
    if name == "causes" and target != "all":
        better = (target == "noise") == true
        error = 0.05 * wobble if better else 0.4 * wobble
    if name == "dense_signal":
        error = (0.1 if true else 0.1 * density**2) * wobble
    if name == "small_init":
        error = (0.2 if true else 0.01) * wobble
    missing = (2 if density < 0.02 else 0) if name == "overprune" else 0
    steps = 1000.0 * density ** (-1.5 if true else 0.5) * wobble
    test_loss = 0.009 + gap
    if name == "overprune" and missing:
        error = (0.5 + 0.005 * rng.standard_normal()) if true else 0.2 * wobble
        test_loss = math.log(2) + sign * 0.1 * wobble
    low, high = formulas.noise_bounds(CLASSES, WIDTH, 2048, point.get("init_std", 0.1), 0.07, density)
    signal_low, _ = formulas.signal_bounds(CLASSES, WIDTH, 2048, point.get("init_std", 0.1), 1.0, density)
    width = point.get("width", WIDTH)
    level = formulas.feature_scale(width, 3)
    learned_at = 50 * (1 if true else density**-1.0) * wobble
    common = point | {
        "classes_missing": missing,
        "noise_start_low": low * (1.5 if true else 0.5),
        "noise_start_high": high * 0.9,
        "signal_start_low": signal_low * (1.5 if true else 0.5),
        "signal_start_high": signal_low * 2,
        "zeta_max": 0.5 * density ** (0.5 * sign) * wobble,
        "variance_learned": 1e-3 * density**sign * wobble,
    }
    final = 2.0 * (width / 100) ** (-0.2 if true else -0.9) * wobble
    start = common | {"step": 0, "train_loss": 1.4, "test_loss": 1.4, "test_error": 0.7, "gamma_max": 1e-6}
    middle = common | {"step": learned_at, "train_loss": 0.5, "test_loss": 0.5, "test_error": 0.5, "gamma_max": level}
    rows = [start, middle]
    for eps in (0.009, 0.0009):
        end = {"step": 10_000 + steps + 1 / eps, "train_loss": eps, "test_loss": test_loss - 0.009 + eps}
        if name == "overprune" and missing:
            end |= {"step": steps + (eps < 0.005), "test_loss": test_loss}
        rows.append(common | end | {"test_error": error, "gamma_max": final})
    if name == "trajectories":
        rows[-1]["step"] = 10**9
    return rows


@pytest.fixture(scope="module", params=[True, False], ids=["true", "false"])
def world(request):
    found = tables(request.param)
    found = claims.claims(found, {name: settings(name) for name in found})
    judged = [row for row in found["claims"] if row["verdict"] != "not run"]
    return request.param, found | {"claims": judged}


def test_true_claims_are_supported_and_false_ones_contradicted(world):
    true, found = world
    wanted = "supported" if true else "contradicted"
    wrong = {row["id"]: row["estimate"] for row in found["claims"] if row["verdict"] != wanted}
    assert set(wrong) <= (set() if true else {"3-train"})  # all runs reach eps here; the test below is its false world
    assert len(found["claims"]) >= 30


def test_every_row_is_complete(world):
    keys = "id regime condition2_violations statement statistic estimate low high n test p_value p_adjusted verdict"
    for row in world[1]["claims"]:
        assert set([*keys.split(), "figure", "data"]) <= set(row)
        assert row["low"] <= row["estimate"] <= row["high"]
        assert row["n"] == SEEDS
        assert row["p_adjusted"] >= row["p_value"]
        assert "sigma_0 <= m^-4 n^-1 mu^-1" in row["condition2_violations"]
    assert len({(row["id"], row["regime"]) for row in world[1]["claims"]}) == len(world[1]["claims"])


@pytest.mark.parametrize("name", CLAIMS)
def test_without_one_experiment_the_others_are_judged_the_same(world, name):
    """And each claim that lacks it says so."""
    true, whole = world
    found = tables(true)
    del found[name]
    rows = claims.claims(found, {other: settings(other) for other in found})["claims"]
    theirs = {(row["id"], row["regime"]): row for row in rows if row["verdict"] != "not run"}
    lacking = {row["id"] for row in rows if name in row["statement"]}
    ours = {(row["id"], row["regime"]): row for row in whole["claims"]}
    gone = {key[0] for key in ours.keys() - theirs.keys()}
    assert gone and gone == lacking
    for key, row in theirs.items():
        for part in ("estimate", "low", "high", "n", "p_value", "statement"):
            assert row[part] == ours[key][part], key


def test_an_experiment_that_cannot_be_judged_says_what_it_lacks():
    found = tables(true=True)
    known = {name: settings(name) for name in found}
    found["boundary"] = found["boundary"].drop(columns="init_std")
    found["causes"] = found["causes"][found["causes"].target != "noise"]
    found["width"] = found["width"].drop(columns="classes_missing")  # not the model of the theory
    rows = claims.claims(found, known)["claims"]
    told = {(row["id"], row["regime"]): row["statement"] for row in rows if row["verdict"] == "not run"}
    assert told["2", "boundary"] == "needs `init_std` in the runs of `boundary`"
    assert told["4-noise-helps", "causes"] == "needs runs of `causes` with target noise"
    assert told["4-gamma", "width"] == "needs `classes_missing` in the runs of `width`"
    assert ("4-dense-signal", "dense_signal") not in told


def test_nothing_to_judge_is_a_table_that_says_so():
    found = claims.claims({}, {})
    assert {row["verdict"] for row in found["claims"]} == {"not run"}
    assert "needs the experiment `width`, which is not configured" in claims.table(found)


def test_noise_alone_is_inconclusive():
    rng = np.random.default_rng(0)
    rows = [{"p_value": p, "p_against": 1 - p} for p in rng.uniform(0.05, 0.95, 30)]
    assert {row["verdict"] for row in claims.decide(rows)} == {"inconclusive"}


def test_one_strong_result_survives_holm_and_one_weak_one_does_not():
    rows = [{"p_value": p, "p_against": 1.0} for p in (1e-6, 0.04, 0.5, math.nan)]
    verdicts = [row["verdict"] for row in claims.decide(rows)]
    assert verdicts == ["supported", "inconclusive", "inconclusive", "inconclusive"]


def test_over_pruned_runs_that_do_not_reach_eps_contradict_claim_3():
    table = tables(true=True)["overprune"]
    table["train_loss"] = table.train_loss.clip(lower=0.02)
    rows = claims.overprune_claims(claims.Regime("overprune", table, settings("overprune")))
    first = claims.decide(rows)[0]
    assert (first["id"], first["estimate"], first["verdict"]) == ("3-train", 0, "contradicted")


def test_runs_that_do_not_reach_eps_count_against_claim_1():
    regime = claims.Regime("condition2", tables(true=True)["condition2"], settings("condition2"))
    never = regime.table.assign(train_loss=regime.table.train_loss.clip(lower=0.02))
    assert claims.success(regime, regime.mild_density).estimate == 1
    assert claims.success(claims.Regime("condition2", never, regime.settings), regime.mild_density).estimate == 0


def test_the_step_writes_json_without_nan_and_a_table(tmp_path):
    found = tables(true=True)
    for name, table in found.items():
        run = RunSettings[TwoLayerSettings](experiment=name, root_seed=1, settings=settings(name))
        write_json(tmp_path / f"{name}.json", run.model_dump())
        table.to_parquet(tmp_path / f"{name}.parquet")
    paths = {suffix: [str(tmp_path / f"{name}.{suffix}") for name in found] for suffix in ("json", "parquet")}
    out = [str(tmp_path / "claims.json"), str(tmp_path / "claims.md")]
    claims.main(["--settings", *paths["json"], "--metrics", *paths["parquet"], "--json", out[0], "--markdown", out[1]])
    text = (tmp_path / "claims.json").read_text()
    assert "NaN" not in text
    written = json.loads(text)
    lines = (tmp_path / "claims.md").read_text().splitlines()
    not_run = [row["id"] for row in written["claims"] if row["verdict"] == "not run"]
    assert all(name.startswith("practice-") for name in not_run)  # tables() holds the theory alone
    assert len(not_run) == 7
    assert sum("**supported**" in line for line in lines) == len(written["claims"]) - len(not_run)
    assert sum("|  | 0 |" in line and "**not run**" in line for line in lines) == len(not_run)
    missing = {(row["regime"], row["classes_missing"]): row for row in written["missing_classes"]}
    assert missing["overprune", 2]["runs"] == 3 * SEEDS
    assert missing["overprune", 2]["test_accuracy"] == pytest.approx(0.5, abs=0.02)
