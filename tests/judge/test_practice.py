import numpy as np
import pandas as pd
import pytest

from winnow.analysis.selection import Regime, final, gains, with_dense
from winnow.errors import WinnowError
from winnow.images.methods import AFTER_TRAINING
from winnow.judge import evidence, practice
from winnow.judge.claims import table as page
from winnow.paper.published import published

FRACTIONS = [0.0, 0.2, 0.5, 0.79, 0.9]


def metrics(curves: dict, seeds=8, spread=0.1, **constants) -> pd.DataFrame:
    """Runs whose mean test accuracy at FRACTIONS is given by method, and train accuracy (4.9 points higher than given),
    with two evaluations each."""
    rng = np.random.default_rng(0)
    rows = []
    for method, (test, train) in curves.items():
        for seed in range(seeds):
            base = np.random.default_rng(seed).normal()  # of all methods
            for fraction, a, b in zip(FRACTIONS, test, train, strict=True):
                noise = rng.normal(0, spread, 2)
                for step, drop in ((0, 50), (100, 0)):
                    levels = (a + base, b + 0.1 * base + 4.9)  # the dense network fits the training set
                    errors = [1 - (level + e - drop) / 100 for level, e in zip(levels, noise, strict=True)]
                    run = {
                        "method": method,
                        "fraction": fraction,
                        "seed": seed,
                        "step": step,
                        "data": "mnist-5k",
                        "status": "max_steps",
                        "train_examples": 4000,
                        "test_examples": 100_000,
                    }
                    rows.append(run | {"test_error": errors[0], "train_error": errors[1]} | constants)
    return pd.DataFrame(rows)


FLAT = [95.0] * 5
FALLING = [95.0, 95.0, 94.9, 94.0, 90.0]


def test_gains_are_paired_and_in_points():
    rows = final(metrics({"bernoulli": (FALLING, FLAT)}))
    wide = gains(rows)
    assert list(wide.columns) == FRACTIONS[1:]
    assert wide.mean().to_numpy() == pytest.approx([0, -0.1, -1, -5], abs=0.2)
    assert wide.std().max() < 0.3


def test_gains_need_the_dense_network():
    rows = final(metrics({"bernoulli": (FALLING, FLAT)}))
    with pytest.raises(WinnowError, match="0 must be one of them"):
        gains(rows[rows.fraction > 0])


def claims(tables: dict) -> list[evidence.Claim]:
    """All of them, from tables that say themselves how many examples there are."""
    return practice.practice_claims({name: Regime(name, table, None) for name, table in tables.items()})


def judged(tables: dict) -> dict[str, evidence.Claim]:
    """The claims that were judged, by their id."""
    return {claim.id: claim for claim in claims(tables) if claim.found}


def not_run(tables: dict) -> dict[str, str]:
    """What the claims say that were not."""
    return {claim.id: claim.statement for claim in claims(tables) if not claim.found}


def claims_page(tables: dict) -> str:
    return page({"claims": evidence.decide(claims(tables)), "missing_classes": []})


def verdict(claim) -> str:
    return evidence.decide([claim])[0]["verdict"]


@pytest.mark.parametrize(
    ("random", "imp", "spread", "wanted"),
    [
        (FALLING, FLAT, 0.1, "contradicted"),  # a point below at .79 already
        ([95, 95, 95, 94.9, 90.0], FLAT, 0.1, "supported"),
        (
            [95, 95, 95, 94.9, 94.9],
            FLAT,
            0.1,
            "contradicted",
        ),  # competitive throughout: the limit is not where it is said
        ([95, 95, 95, 94.9, 90.0], [95, 95, 95, 94.9, 90.0], 0.1, "contradicted"),  # both drop
        ([95, 95, 95, 94.5, 90.0], FLAT, 1.0, "inconclusive"),
    ],
)
def test_the_competitive_claim_can_fail_on_either_side(random, imp, spread, wanted):
    table = metrics({"bernoulli": (random, FLAT), "imp": (imp, FLAT)}, spread=spread)
    claim = judged({"fig3a": table})["practice-random"]
    assert (verdict(claim), claim.test) == (wanted, "t-test of paired seeds at every fraction, against -0.5")
    assert claim.statistic == "random minus imp test accuracy, points, worst fraction up to 0.79"
    assert claim.found.estimate == pytest.approx(random[3] - imp[3], abs=0.7)
    assert claim.found.low <= claim.found.estimate <= claim.found.high
    dense = judged({"fig3a": table})["practice-random-dense"]
    assert dense.found.estimate == pytest.approx(random[3] - 95, abs=0.7)


def test_the_competitive_claim_needs_fractions_on_either_side():
    table = metrics({"bernoulli": (FALLING, FLAT), "imp": (FLAT, FLAT)})
    told = not_run({"fig3a": table[table.fraction < 0.8]})
    assert "needs the one that the claim names, 0.79, and later ones" in told["practice-random"]
    far = not_run({"fig3a": table[table.fraction != 0.79]})  # "up to .79" was said of .5
    assert far["practice-random"].startswith("fractions 0.2, 0.5, 0.9: needs the one")


def test_of_one_seed_the_claims_say_the_number_and_no_verdict():
    table = metrics({"bernoulli": ([95, 95, 95, 90, 85.0], FLAT), "imp": (FLAT, FLAT)}, seeds=1)
    found = judged({"fig3a": table, "methods": table})
    assert {name: (verdict(claim), claim.found.n) for name, claim in found.items()} == {
        "practice-random": ("not judged", 1),
        "practice-random-dense": ("not judged", 1),
        "practice-random-lenet": ("not judged", 1),
        "practice-random-dense-lenet": ("not judged", 1),
        "practice-knee": ("not judged", 1),
        "practice-boost": ("not judged", 0),
    }
    assert found["practice-random-dense"].found.estimate == pytest.approx(-5, abs=0.5)
    told = claims_page({"fig3a": table})
    line = next(line for line in told.splitlines() if line.startswith("| practice-random | fig3a"))
    assert "[" not in line and line.endswith("|  | **not judged** |")


LATE, EARLY = [95, 95, 95, 93, 85.0], [95, 94, 92, 88, 80.0]


def test_the_knee_claim_follows_the_data_at_every_fraction():
    claim = judged({"fig3a": metrics({"bernoulli": (EARLY, LATE)}, spread=0.02)})["practice-knee"]
    assert (verdict(claim), claim.found.estimate) == ("supported", pytest.approx(1, abs=0.1))
    assert "(largest difference 5, at 0.79)" in claim.statement
    assert claim.statistic.endswith("smallest difference up to fraction 0.79")  # at .9 both have dropped by 10 and more
    assert verdict(judged({"fig3a": metrics({"bernoulli": (LATE, EARLY)})})["practice-knee"]) == "contradicted"
    assert verdict(judged({"fig3a": metrics({"bernoulli": (EARLY, EARLY)})})["practice-knee"]) == "contradicted"
    # later at the first fractions and earlier at .79: no single fraction speaks for all of them
    crossing = metrics({"bernoulli": ([95, 94.5, 94, 93.5, 93.4], [95, 95, 95, 90, 80.0])})
    assert verdict(judged({"fig3a": crossing})["practice-knee"]) == "contradicted"
    assert (
        verdict(judged({"fig3a": metrics({"bernoulli": (EARLY, LATE)}, spread=4)})["practice-knee"]) == "inconclusive"
    )


@pytest.mark.parametrize("curve", [[95, 95, 95, 94.9, 92.2], [95, 91, 91, 91, 90.0], [95, 95, 95, 95, 50.0]])
def test_the_knee_claim_needs_fractions_at_which_accuracies_drop(curve):
    """Drops of less than 3 points at all fractions, or of more, or of none until all networks guess."""
    told = not_run({"fig3a": metrics({"bernoulli": (curve, curve)}, spread=0.02)})["practice-knee"]
    assert "needs fractions at which an accuracy drops by 3 points, and by 1 before both" in told


def test_drops_are_compared_until_both_are_shown_to_be_large():
    """By their means a fraction at which the claim fails was left out by chance; one behind a dip came back."""
    wide = {"a": [97, 97, 96.5, 92.8, 90, 95.0], "b": [97, 96.5, 95, 93.5, 91, 95.0]}
    first, second = (
        pd.DataFrame([curve] * 5, columns=[0.0, 0.3, 0.5, 0.7, 0.8, 0.9])
        + np.outer([-0.8, -0.4, 0, 0.4, 0.8], [0, 1, 1, 1, 1, 1])
        for curve in wide.values()
    )
    assert list(practice.lead(first, second).columns) == [0.3, 0.5, 0.7]  # there 4.2 and 3.5, each +- .3
    rng, said = np.random.default_rng(1), []
    for _ in range(300):
        common = rng.normal(0, [[0], [0.4], [0.6], [0.8]], (4, 5)).T
        drops = [[0.2, 2, 2.9], [0, 0.5, 4.2]]  # of test and training: the last one speaks against the claim
        both = [
            pd.DataFrame(
                np.column_stack([np.full(5, 97.0), 97 - np.array(drop) - common[:, 1:] + rng.normal(0, 0.1, (5, 3))]),
                columns=[0.0, 0.5, 0.8, 0.9],
            )
            for drop in drops
        ]
        ahead = practice.lead(*both)
        said.append(practice.margin_evidence(ahead, -ahead, pd.Series(0.0, ahead.columns)).p_for < 0.025)
    assert np.mean(said) <= 0.025


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("growth", [(1,) * 8, (1, 1, 1, 1.2, 1.4, 1.8, 2.5, 4)])
def test_equal_drops_are_told_apart_by_chance_no_more_often_than_said(seeds, growth):
    """Test accuracies scatter more than training ones, and both may scatter more the more is pruned. That one drops
    later than an equal one was said, with five seeds, of 13 % of such curves."""
    rng, said = np.random.default_rng(7), []
    fractions = [0.36, 0.59, 0.74, 0.79, 0.83, 0.89, 0.93, 0.96]
    curve, floor = np.array([0, 0.05, 0.2, 0.4, 0.7, 1.5, 2.5, 4.0]), pd.Series(0.0, fractions)
    for _ in range(300):
        train, test = (
            pd.DataFrame(97 - curve + growth * rng.normal(0, sd, (seeds, len(curve))), columns=fractions)
            for sd in (0.05, 0.3)
        )
        for wide in (train, test):
            wide.insert(0, 0.0, 97 + rng.normal(0, 0.05, seeds))
        ahead = practice.lead(test, train)
        found = practice.margin_evidence(ahead, -ahead, floor)
        assert ahead.columns[0] == 0.36
        said.append((found.p_for < 0.025, practice.margin_evidence(-ahead, ahead, floor).p_for < 0.025))
    assert np.mean(said, axis=0).max() <= 0.025


def test_published_drops_are_told_apart_by_five_seeds_that_scatter_most_where_most_is_pruned():
    train, test = (published("3b", f"{split}_accuracy", "random") for split in ("train", "test"))
    growth, rng = np.linspace(0.3, 3, len(train)) ** 2, np.random.default_rng(3)
    wide = [
        pd.DataFrame(curve.y.to_numpy() + growth * rng.normal(0, sd, (5, len(curve))), columns=curve.x)
        for curve, sd in ((train, 0.02), (test, 0.1))
    ]
    ahead = practice.lead(wide[1], wide[0])
    found = practice.margin_evidence(ahead, -ahead, pd.Series(0.0, ahead.columns))
    assert found.p_for < 0.025 and -0.5 < found.low < found.estimate


def test_the_knee_claim_needs_a_fixed_number_of_epochs():
    table = metrics({"bernoulli": (FALLING, FALLING)}, status="converged")
    assert "training.eps of `fig3a` must be null" in not_run({"fig3a": table})["practice-knee"]


def test_the_boost_claim_follows_the_data_and_accounts_for_choosing():
    better = [95.0, 95.0, 96.0, 95.0, 90.0]
    tables = {"snip": (better, FLAT), "erk": (FALLING, FLAT)}
    claim = judged({"methods": metrics(tables)})["practice-boost"]
    assert verdict(claim) == "supported"
    assert "snip at fraction 0.5" in claim.statistic
    assert claim.test.endswith("Bonferroni over 8 columns")
    worse = [95.0, 94.0, 93.0, 92.0, 90.0]
    claim = judged({"methods": metrics({"snip": (worse, FLAT)})})["practice-boost"]
    assert verdict(claim) == "contradicted"
    assert claim.found.estimate < 0
    many = metrics({f"m{i}": (FLAT, FLAT) for i in range(8)}, spread=1.0)
    claim = judged({"methods": many})["practice-boost"]
    assert claim.found.estimate > 0.3  # the best of 32, by chance
    assert verdict(claim) == "inconclusive"
    assert claim.found.low < 0


def test_pruning_after_training_is_no_pruning_at_initialization():
    better = [95.0, 95.0, 96.0, 95.0, 94.0]
    after = {method: (better, FLAT) for method in AFTER_TRAINING}
    claim = judged({"methods": metrics(after | {"erk": (FALLING, FLAT)})})["practice-boost"]
    assert "erk" in claim.statistic and claim.test.endswith("Bonferroni over 4 columns")
    assert verdict(claim) != "supported"


def test_the_noise_claims_follow_the_data():
    rising = [95.0, 96.0, 96.0, 96.0, 96.0]
    clean = metrics({"bernoulli": (FLAT, FLAT)}, sigma=0.0)
    table = pd.concat([clean, metrics({"bernoulli": (rising, FLAT)}, sigma=1.0, spread=0.2)])
    found = judged({"noisy": table})
    assert set(found) == {"practice-boost-noisy", "practice-noise"}
    claim = found["practice-noise"]
    assert claim.found.estimate == pytest.approx(1, abs=0.2)
    assert verdict(claim) == "supported"
    boost = found["practice-boost-noisy"]
    assert (verdict(boost), "noise 1 at fraction" in boost.statistic) == ("supported", True)
    flipped = judged({"noisy": table.assign(sigma=1 - table.sigma)})
    assert verdict(flipped["practice-noise"]) == "contradicted"
    assert verdict(flipped["practice-boost-noisy"]) != "supported"  # only clean pixels gain
    same = [metrics({"bernoulli": (FLAT, FLAT)}, sigma=s, spread=0.5 + s) for s in (0.0, 1.0)]
    assert verdict(judged({"noisy": pd.concat(same)})["practice-noise"]) == "inconclusive"
    assert "above 0" in not_run({"noisy": metrics({"bernoulli": (FLAT, FLAT)}, sigma=0.0)})["practice-noise"]


def by_width(gained: dict[int, float], spread: float = 0.1) -> pd.DataFrame:
    """Runs of several widths, whose gains at all pruned fractions are given."""
    curves = {width: [95.0] + [95.0 + gain] * 4 for width, gain in gained.items()}
    return pd.concat(
        [
            metrics({"bernoulli": (curve, FLAT)}, spread=spread * width / 8, width=width)
            for width, curve in curves.items()
        ]
    )


def test_the_width_claim_follows_the_data():
    claim = judged({"vgg-widths": by_width({8: -3, 16: -2, 32: -1})})["practice-width"]
    assert verdict(claim) == "supported"
    assert claim.found.estimate == pytest.approx(1, abs=0.2)  # points a doubling
    assert verdict(judged({"vgg-widths": by_width({8: -1, 32: -3})})["practice-width"]) == "contradicted"
    assert verdict(judged({"vgg-widths": by_width({8: -1, 32: -1}, 0.5)})["practice-width"]) == "inconclusive"
    assert "two widths" in not_run({"vgg-widths": by_width({8: -1})})["practice-width"]
    assert not [claim for claim in claims({}) if claim.id == "practice-width"]


def test_the_knee_claim_needs_a_dense_network_that_fits():
    table = metrics({"bernoulli": (EARLY, LATE)}, spread=0.02)
    table["train_error"] += 0.03
    assert "fits 99.5 % of the training set; it fits 9" in not_run({"fig3a": table})["practice-knee"]


def test_a_claim_without_its_experiment_says_so():
    told = not_run({"fig3a": metrics({"bernoulli": (FLAT, FALLING)})})
    assert told["practice-random"] == "needs runs of method imp"
    assert told["practice-boost"] == "needs the experiment `methods`, which is not configured"
    assert told["practice-noise"] == "needs the experiment `noisy`, which is not configured"
    assert not {"practice-random-dense", "practice-knee"} & set(told)


def test_a_claim_says_what_its_experiment_lacks():
    table = metrics({"bernoulli": (FLAT, FALLING)})
    told = not_run({"fig4": table[table.fraction > 0]})
    assert "0 must be one of them" in told["practice-random-dense-resnet"]
    assert not_run({"noisy": table})["practice-noise"] == "needs `sigma` in the runs of `noisy`"
    widths = by_width({8: -1}).drop(columns="width")
    assert not_run({"vgg-widths": widths})["practice-width"] == "needs `width` in the runs of `vgg-widths`"
    imp = pd.concat([table.assign(method=method) for method in AFTER_TRAINING])
    told = not_run({"methods": imp})
    assert told["practice-boost"] == "needs runs of another method than imp and shuffled_imp"
    assert told["practice-random-dense-lenet"] == "needs runs of method bernoulli"
    two_layer = table.drop(columns="data")
    assert not_run({"fig3a": two_layer})["practice-random"] == "needs `data` in the runs of `fig3a`"


def diverged(table: pd.DataFrame, fraction: float, seeds: list[int]) -> pd.DataFrame:
    """The same runs, of which some at a fraction diverged; their last finite evaluation looks good."""
    chosen = np.isclose(table.fraction, fraction) & table.seed.isin(seeds)
    return table.assign(status=table.status.mask(chosen, "diverged"))


def test_a_diverged_run_has_no_accuracy():
    table = final(diverged(metrics({"snip": (FLAT, FLAT)}), 0.5, [0, 3]))
    assert with_dense(table, "train_accuracy").isna().sum().to_list() == [0, 0, 2, 0, 0]
    assert gains(table).isna().sum().to_list() == [0, 2, 0, 0]
    of_dense = final(diverged(metrics({"snip": (FLAT, FLAT)}), 0, [5]))
    assert gains(of_dense).isna().sum().to_list() == [1, 1, 1, 1]


def test_a_diverged_network_guesses_to_the_claims():
    table = diverged(metrics({"bernoulli": (FLAT, FLAT)}), 0.79, range(6))
    claim = judged({"fig3a": table})["practice-random-dense"]
    assert claim.found.estimate == pytest.approx(-85 * 6 / 8, abs=1)
    assert claim.found.p_against < 0.01
    assert claim.found.n == 8
    assert "(6 of 40 runs diverged: pruned ones guess" in claim.statement
    better = metrics({"snip": ([95, 95, 96, 95, 90.0], FLAT)})
    assert judged({"methods": better})["practice-boost"].found.p_for < 0.01
    assert judged({"methods": diverged(better, 0.5, [0])})["practice-boost"].found.p_for > 0.05


def test_a_seed_whose_dense_network_diverged_compares_with_nothing():
    table = diverged(metrics({"bernoulli": (FALLING, FLAT)}), 0, [1, 2])
    found = judged({"fig3a": table, "methods": table, "noisy": pd.concat([table.assign(sigma=s) for s in (0, 1)])})
    compared = ("random-dense", "knee", "random-dense-lenet", "boost", "boost-noisy", "noise")
    assert list(found) == [f"practice-{name}" for name in compared]
    for claim in found.values():
        assert claim.found.n == 6
        assert abs(claim.found.estimate) < 2


def test_where_every_dense_network_diverged_the_claims_say_so():
    table = metrics({"bernoulli": (FLAT, FLAT)}).assign(status="diverged")
    told = not_run({"fig3a": table, "methods": table, "noisy": pd.concat([table.assign(sigma=s) for s in (0, 1)])})
    for claim in ("practice-random-dense", "practice-knee", "practice-boost", "practice-noise"):
        assert told[claim] == "needs a dense network that did not diverge"


def test_networks_whose_data_are_not_here_are_judged_only_where_they_ran():
    assert not [claim for claim in claims({}) if claim.id.endswith(("-vgg", "-resnet"))]
    table = metrics({"bernoulli": (FALLING, FLAT), "imp": (FLAT, FLAT)})
    table["fraction"] = table.fraction.replace(0.5, 0.36)
    found = judged({"fig3b": table, "fig4": table})
    named = ("random-vgg", "random-dense-vgg", "knee-vgg", "random-resnet", "random-dense-resnet")
    assert list(found) == [f"practice-{name}" for name in named]
    assert "up to 0.36, and not at some later one" in found["practice-random-vgg"].statement


@pytest.mark.parametrize(
    ("examples", "wanted"), [(20, "inconclusive"), (np.nan, "not judged"), (10**7, "contradicted")]
)
def test_two_networks_that_lose_as_many_images_are_no_certainty(examples, wanted):
    """Both gains are two images of 20. p was below 1e-300; of a folder of images nothing is known."""
    table = metrics({"bernoulli": (FLAT, FLAT)}, seeds=2, spread=0).assign(test_examples=examples)
    table["test_error"] = np.where(table.fraction == 0.79, 0.3, 0.2)
    claim = judged({"fig3a": table})["practice-random-dense"]
    assert claim.found.estimate == pytest.approx(-10)
    assert verdict(claim) == wanted
    boost = judged({"methods": table.assign(test_error=1 - table.test_error)})["practice-boost"]
    assert verdict(boost) == wanted.replace("contradicted", "supported")
