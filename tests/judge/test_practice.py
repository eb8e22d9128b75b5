import numpy as np
import pandas as pd
import pytest

from winnow.errors import WinnowError
from winnow.judge import practice

FRACTIONS = [0.0, 0.2, 0.5, 0.79, 0.9]
KEYS = {"id", "regime", "condition2_violations", "statement", "statistic", "estimate", "low", "high", "n", "test"}
KEYS |= {"p_value", "p_against", "figure", "data"}


def metrics(curves: dict, seeds=8, spread=0.1, **constants) -> pd.DataFrame:
    """Runs whose mean test (and train) accuracy at FRACTIONS is given by method, with two evaluations each."""
    rng = np.random.default_rng(0)
    rows = []
    for method, (test, train) in curves.items():
        for seed in range(seeds):
            base = rng.normal(0, 1)
            for fraction, a, b in zip(FRACTIONS, test, train, strict=True):
                noise = rng.normal(0, spread, 2)
                for step, drop in ((0, 50), (100, 0)):
                    errors = [1 - (value + base + e - drop) / 100 for value, e in zip((a, b), noise, strict=True)]
                    run = {"method": method, "fraction": fraction, "seed": seed, "step": step, "data": "mnist-5k"}
                    run["status"] = "max_steps"
                    rows.append(run | {"test_error": errors[0], "train_error": errors[1]} | constants)
    return pd.DataFrame(rows)


FLAT = [95.0] * 5
FALLING = [95.0, 95.0, 94.9, 94.0, 90.0]


def test_gains_are_paired_and_in_points():
    rows = practice.final(metrics({"bernoulli": (FALLING, FLAT)}))
    wide = practice.gains(rows)
    assert list(wide.columns) == FRACTIONS[1:]
    assert wide.mean().to_numpy() == pytest.approx([0, -0.1, -1, -5], abs=0.2)
    assert wide.std().max() < 0.3


def test_gains_need_the_dense_network():
    rows = practice.final(metrics({"bernoulli": (FALLING, FLAT)}))
    with pytest.raises(WinnowError, match="0 must be one of them"):
        practice.gains(rows[rows.fraction > 0])


def test_competitive_sparsity_stops_at_the_first_gap():
    fractions = np.array([0.2, 0.5, 0.8, 0.9])
    assert practice.competitive_sparsity([0, -0.4, -0.6, 0.1], fractions) == 0.5
    assert practice.competitive_sparsity([-1, 0, 0, 0], fractions) == 0
    assert practice.competitive_sparsity([0, 0, 0, 0], fractions) == 0.9


def test_a_knee_is_where_the_drop_is_half_a_point():
    wide = pd.DataFrame([[95, 95, 94, 90.0], [95, 95, 95, 95.0]], columns=[0.0, 0.5, 0.75, 0.9])
    knee, never = practice.knees(wide)
    assert never == pytest.approx(0.9)
    assert 1 - knee == pytest.approx(0.5 * 0.5**0.5)  # half way, in log density, from 0.5 to 0.25


def test_comparisons_find_what_is_better_and_what_is_worse():
    better = [95.0, 95.0, 96.0, 95.0, 90.0]
    table = practice.comparisons(practice.final(metrics({"snip": (better, FLAT), "erk": (FLAT, FLAT)})))
    found = table.set_index(["method", "fraction"])
    assert found.loc[("snip", 0.5), "p_better"] < 0.01
    assert found.loc[("snip", 0.9), "p_worse"] < 0.01
    assert found.loc[("erk", 0.9), ["p_better", "p_worse"]].min() > 0.05
    assert found.loc[("snip", 0.5), "low"] > 0.8
    assert (table.n == 8).all()


def judged(tables: dict) -> dict[str, dict]:
    """The claims that were judged, by their id."""
    return {row["id"]: row for row in practice.real_data_claims(tables) if "verdict" not in row}


def not_run(tables: dict) -> dict[str, str]:
    """What the claims say that were not."""
    rows = practice.real_data_claims(tables)
    return {row["id"]: row["statement"] for row in rows if row.get("verdict") == "not run"}


@pytest.mark.parametrize(("test", "train", "true"), [(FLAT, FLAT, True), ([95, 95, 94, 93, 90.0], FLAT, False)])
def test_the_competitive_claim_follows_the_data(test, train, true):
    claim = judged({"fig3a": metrics({"bernoulli": (test, train), "imp": (FLAT, FLAT)})})["practice-random"]
    assert set(claim) == KEYS
    assert (claim["p_value"] < 0.01) == true
    assert (claim["p_against"] < 0.01) != true
    assert claim["estimate"] == (0.9 if true else 0.2)
    assert claim["low"] <= claim["estimate"] <= claim["high"]


def test_the_knee_claim_follows_the_data():
    late, early = [95, 95, 95, 94, 90.0], [95, 94, 93, 90, 80.0]
    claim = judged({"fig3a": metrics({"bernoulli": (early, late)})})["practice-knee"]
    assert claim["estimate"] > 0.3
    assert claim["p_value"] < 0.01
    claim = judged({"fig3a": metrics({"bernoulli": (late, early)})})["practice-knee"]
    assert claim["p_against"] < 0.01


def test_the_boost_claim_follows_the_data():
    better = [95.0, 95.0, 96.0, 95.0, 90.0]
    claim = judged({"methods": metrics({"snip": (better, FLAT), "erk": (FALLING, FLAT)})})["practice-boost"]
    assert claim["p_value"] < 0.01
    assert "snip at fraction 0.5" in claim["statistic"]
    worse = [95.0, 94.0, 93.0, 92.0, 90.0]
    claim = judged({"methods": metrics({"snip": (worse, FLAT)})})["practice-boost"]
    assert claim["p_against"] < 0.01
    assert claim["estimate"] < 0


def test_the_noise_claim_follows_the_data():
    rising = [95.0, 96.0, 96.0, 96.0, 96.0]
    table = pd.concat(
        [metrics({"bernoulli": (FLAT, FLAT)}, sigma=0.0), metrics({"bernoulli": (rising, FLAT)}, sigma=1.0)]
    )
    claim = judged({"noisy": table})["practice-noise"]
    assert claim["estimate"] == pytest.approx(1, abs=0.2)
    assert claim["p_value"] < 0.01
    flipped = table.assign(sigma=1 - table.sigma)
    assert judged({"noisy": flipped})["practice-noise"]["p_against"] < 0.01


def test_a_claim_without_its_experiment_says_so():
    told = not_run({"fig3a": metrics({"bernoulli": (FLAT, FALLING)})})
    assert told["practice-boost"] == "needs the experiment `methods`, which is not configured"
    assert told["practice-noise"] == "needs the experiment `noisy`, which is not configured"
    assert not {"practice-random", "practice-knee"} & set(told)


def test_a_claim_says_what_its_experiment_lacks():
    table = metrics({"bernoulli": (FLAT, FALLING)})
    assert "0 must be one of them" in not_run({"fig4": table[table.fraction > 0]})["practice-knee-resnet"]
    assert not_run({"noisy": table})["practice-noise"] == "needs `sigma` in the runs of `noisy`"
    two_layer = table.drop(columns="data")
    assert not_run({"fig3a": two_layer})["practice-random"] == "needs `data` in the runs of `fig3a`"


def diverged(table: pd.DataFrame, fraction: float, seeds: list[int]) -> pd.DataFrame:
    """The same runs, of which some at a fraction diverged; their last finite evaluation looks good."""
    chosen = np.isclose(table.fraction, fraction) & table.seed.isin(seeds)
    return table.assign(status=table.status.mask(chosen, "diverged"))


def test_a_diverged_run_has_no_accuracy():
    table = practice.final(diverged(metrics({"snip": (FLAT, FLAT)}), 0.5, [0, 3]))
    assert practice.with_dense(table, "train_accuracy").isna().sum().to_list() == [0, 0, 2, 0, 0]
    assert practice.gains(table).isna().sum().to_list() == [0, 2, 0, 0]
    of_dense = practice.final(diverged(metrics({"snip": (FLAT, FLAT)}), 0, [5]))
    assert practice.gains(of_dense).isna().sum().to_list() == [1, 1, 1, 1]


def test_a_diverged_network_guesses_to_the_claims():
    table = diverged(metrics({"bernoulli": (FLAT, FLAT)}), 0.79, range(6))
    claim = judged({"fig3a": table})["practice-random"]
    assert claim["estimate"] == 0.5
    assert claim["p_against"] < 0.01
    assert claim["n"] == 8
    assert "(6 of 40 runs diverged: pruned ones guess" in claim["statistic"]
    better = metrics({"snip": ([95, 95, 96, 95, 90.0], FLAT)})
    assert judged({"methods": better})["practice-boost"]["p_value"] < 0.01
    assert judged({"methods": diverged(better, 0.5, [0])})["practice-boost"]["p_value"] > 0.05


def test_a_seed_whose_dense_network_diverged_compares_with_nothing():
    table = diverged(metrics({"bernoulli": (FLAT, FLAT)}), 0, [1, 2])
    claims = judged({"fig3a": table, "methods": table, "noisy": pd.concat([table.assign(sigma=s) for s in (0, 1)])})
    assert list(claims) == ["practice-random", "practice-knee", "practice-boost", "practice-noise"]
    for claim in claims.values():
        assert claim["n"] == 6
        assert abs(claim["estimate"]) < 1


def test_where_every_dense_network_diverged_the_claims_say_so():
    table = metrics({"bernoulli": (FLAT, FLAT)}).assign(status="diverged")
    told = not_run({"fig3a": table, "methods": table, "noisy": pd.concat([table.assign(sigma=s) for s in (0, 1)])})
    for claim in ("practice-random", "practice-knee", "practice-boost", "practice-noise"):
        assert told[claim] == "needs a dense network that did not diverge"


def test_claims_on_cifar10_are_not_run_until_they_are():
    rows = [row for row in practice.real_data_claims({}) if row["regime"] == "cifar10"]
    assert [(row["id"], row["figure"]) for row in rows] == [
        ("practice-random-vgg", "fig3b"),
        ("practice-knee-vgg", "fig3b"),
        ("practice-knee-resnet", "fig4"),
    ]
    for row in rows:
        assert set(row) == KEYS | {"p_adjusted", "p_against_adjusted", "verdict"}
        assert (row["n"], row["verdict"]) == (0, "not run")
        assert np.isnan(row["estimate"]) and np.isnan(row["p_value"])
    found = judged({"fig3b": metrics({"bernoulli": (FLAT, FLAT)}), "fig4": metrics({"bernoulli": (FALLING, FLAT)})})
    assert list(found) == ["practice-random-vgg", "practice-knee-vgg", "practice-knee-resnet"]
    assert "up to 36% sparsity" in found["practice-random-vgg"]["statement"]
    assert found["practice-random-vgg"]["test"] == "paired t-test at fraction 0.5"
    assert found["practice-random-vgg"]["estimate"] == 0.9
