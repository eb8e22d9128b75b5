"""Checks of masks: worlds in which a method passes one, in which it does not, and in which seeds cannot tell."""

import numpy as np
import pandas as pd
import pytest
import yaml

from winnow.analysis import sanity as checks
from winnow.analysis.selection import Regime
from winnow.config.load import load
from winnow.images.settings import ImageSettings
from winnow.judge import evidence, sanity
from winnow.judge.claims import table as page
from winnow.paths import CHECKOUT

FRACTIONS = (0.0, 0.8, 0.9)


def runs(name: str, accuracy: float, drop=(0.0, 1.0, 4.0), seeds=10, spread=0.1, **constants) -> pd.DataFrame:
    """Runs that test with a mean accuracy, less a drop by fraction; what seeds have in common stays paired."""
    rng = np.random.default_rng([*name.encode(), *str(constants).encode()])
    rows = []
    for seed in range(seeds):
        common = np.random.default_rng(seed).normal()
        for fraction, lost in zip(FRACTIONS, drop, strict=True):
            error = 1 - (accuracy - lost + common + rng.normal(0, spread)) / 100
            run = {"method": "bernoulli", "fraction": fraction, "seed": seed, "status": "max_steps", "data": "mnist-5k"}
            measured = {"test_error": error, "train_error": 0.0, "run": f"{name}/{constants}/{fraction}/{seed}"}
            rows.append(run | measured | {"train_examples": 4000, "test_examples": 1000} | constants)
    return pd.DataFrame(rows)


def world(shuffled=-3.0, redrawn=0.0, inverted=-0.5, **changes) -> dict[str, pd.DataFrame]:
    """SNIP at 90 %, and what its checks change; random pruning tests a point below, small networks a point above."""
    checks = {"none": 0.0, "shuffled": shuffled, "redrawn": redrawn, "inverted": inverted}
    parts = [runs("snip", 90 + by, method="snip", check=check, **changes) for check, by in checks.items()]
    small = {f"sanity-small-lenet-{100 * f:g}": 91 - lost for f, lost in ((0.8, 1.0), (0.9, 4.0))}
    found = {"sanity-lenet": pd.concat(parts), "sanity-random-lenet": runs("random", 89, **changes)}
    return found | {name: runs(name, level, **changes).query("fraction == 0") for name, level in small.items()}


HIDDEN = {"sanity-small-lenet-80": [66, 22], "sanity-small-lenet-90": [33, 11]}


def of(tables: dict[str, pd.DataFrame], **hidden: list[int]) -> dict[str, Regime]:
    """Experiments of LeNet-300-100, and of networks as small as they have to be."""
    sizes = {
        name: ImageSettings(kind="images", model={"hidden": (HIDDEN | hidden).get(name, [300, 100])}) for name in tables
    }
    return {name: Regime(name, table, sizes[name]) for name, table in tables.items()}


def verdicts(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    rows = evidence.decide(sanity.sanity_claims(of(tables)))
    return {f"{row['id'].removeprefix('sanity-')}, {row['regime'].split(', ')[-1]}": row["verdict"] for row in rows}


def test_a_check_is_passed_failed_or_undecided():
    found = verdicts(world())
    assert found == {
        "shuffled, SNIP": "supported",
        "redrawn, SNIP": "no effect",
        "inverted, SNIP": "inconclusive",  # half a point is the margin itself
        "random, SNIP": "supported",
        "small, SNIP": "contradicted",
        "small, random pruning": "contradicted",
        "width, sanity-random": "not run",
    }
    assert set(verdicts(world(spread=5.0)).values()) == {"inconclusive", "not run"}
    assert set(verdicts(world(seeds=1)).values()) == {"not judged", "not run"}


def test_seeds_that_agree_by_chance_scatter_as_their_test_examples_do():
    """Three margins within .1 points of each other, of 500 images: the binomial deviation of one is .9 points."""
    margins = pd.DataFrame({"method": "snip", "check": "random", "margin": [4.4, 4.4, 4.6], "fractions": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sanity, "margins", lambda *_: margins.assign(test_examples=500, diverged=0))
        (claim,) = sanity._of_network(of(world()), "lenet")
    assert claim.found.high - claim.found.low == pytest.approx(4.65, abs=0.05)


def test_the_page_says_what_each_method_passes():
    told = page({"claims": evidence.decide(sanity.sanity_claims(of(world()))), "missing_classes": []})
    line = "- sanity-lenet (mnist-5k), SNIP: passes shuffled, random; fails redrawn, small; undecided inverted."
    assert line in told.splitlines()
    assert "the 6 lines of this page that were tested" in told


def test_inverted_synflow_is_not_tested():
    tables = world(inverted=-80.0)
    tables["sanity-lenet"]["method"] = "synflow"
    rows = evidence.decide(sanity.sanity_claims(of(tables)))
    (inverted,) = (row for row in rows if row["id"] == "sanity-inverted")
    assert inverted["verdict"] == "by construction" and np.isnan(inverted["p_value"])
    assert "; passes by construction inverted." in sanity.sanity_answers(rows)[0]
    better = world(inverted=5.0)
    better["sanity-lenet"]["method"] = "synflow"
    assert verdicts(better)["inverted, SynFlow"] == "contradicted"  # it was said to pass, whatever was measured


def test_runs_that_diverged_are_counted_and_guess():
    tables = world()
    rows = tables["sanity-lenet"]
    lost = (rows.check == "none") & (rows.fraction == 0.9) & (rows.seed < 3)
    tables["sanity-lenet"] = rows.assign(status=rows.status.mask(lost, "diverged"))
    shuffled = next(claim for claim in sanity.sanity_claims(of(tables)) if claim.id == "sanity-shuffled")
    assert shuffled.statement.endswith("shuffled within each layer (3 of their runs diverged: these guess)")
    assert shuffled.found.estimate < -5


def test_margins_are_paired_means_over_fractions_with_all_files_that_they_are_made_of():
    tables = world(spread=1e-9)
    tables["sanity-random-lenet"].loc[lambda rows: rows.fraction == 0.9, "test_error"] += 0.02
    found = checks.margins(of(tables), "lenet").set_index(["method", "check", "seed"]).sort_index()
    assert found.margin["snip", "shuffled"].to_numpy() == pytest.approx([3.0] * 10, abs=1e-6)
    assert found.margin["snip", "random"].to_numpy() == pytest.approx([1.0 + 2 / 2] * 10, abs=1e-6)
    assert len(set(found.run["snip", "small", 0])) == 4
    lost = world()
    lost["sanity-random-lenet"] = lost["sanity-random-lenet"].query("fraction < 0.9 or seed > 0")
    assert len(checks.margins(of(lost), "lenet").query("check == 'random'")) == 9  # a seed has all fractions or none


def test_a_pruned_network_that_diverged_guesses():
    tables = world(spread=1e-9)
    rows = tables["sanity-lenet"]
    rows.loc[(rows.check == "none") & (rows.seed == 3), "status"] = "diverged"
    found = checks.margins(of(tables), "lenet").set_index(["check", "seed"])
    common = np.random.default_rng(3).normal()
    assert found.margin["shuffled", 3] == pytest.approx(10 - (87 - 2.5 + common), abs=1e-6)


def test_what_is_missing_is_told():
    without = {name: table for name, table in world().items() if name != "sanity-small-lenet-90"}
    (claim, *_) = sanity.sanity_claims(of(without))
    assert (claim.found, claim.statement) == (
        None,
        "needs the experiment `sanity-small-lenet-90`, which is not configured",
    )
    assert sanity.sanity_claims(of({"fig3a": runs("fig3a", 90)})) == []
    unchecked = world() | {"sanity-lenet": runs("snip", 90, method="snip", check="shuffled")}
    assert "methods as they are (check none)" in sanity.sanity_claims(of(unchecked))[0].statement


@pytest.mark.parametrize(
    ("fraction", "hidden", "says"),
    [
        (0.0, [300, 100], "of 53,240 weights; it has 266,200"),
        (0.0, [61, 20], "of 53,240 weights; it has 49,244"),
        (0.5, [66, 22], "fraction 0, of 53,240 weights; it has 53,416"),
    ],
)
def test_a_small_network_that_is_none_is_told(fraction, hidden, says):
    """The large one itself was judged as a small one."""
    name, tables = "sanity-small-lenet-80", world()
    tables[name] = tables[name].assign(fraction=fraction)
    (claim, *_) = sanity.sanity_claims(of(tables, **{name: hidden}))
    assert claim.found is None and says in claim.statement and claim.statement.startswith(f"`{name}`: needs a dense")


def test_the_width_claim_follows_where_accuracies_drop():
    early, late = (0.0, 2.0, 6.0), (0.0, 0.05, 4.0)
    for drops, wanted in (((early, late), "supported"), ((late, early), "contradicted")):
        narrow, wide = (runs(name, 95, drop, spread=0.02) for name, drop in zip("ab", drops, strict=True))
        tables = {"sanity-random-narrow": narrow, "sanity-random-lenet": wide}
        assert verdicts(tables) == {"width, narrow and lenet": wanted}


@pytest.mark.parametrize("config", ["config/sanity.yaml", "config/ci.yaml"])
def test_small_networks_have_as_many_weights_as_are_left(config):
    experiments = load(yaml.safe_load((CHECKOUT / config).read_text())).experiments
    runs = {name: Regime(name, pd.DataFrame({"fraction": [0.0]}), one.settings) for name, one in experiments.items()}
    small = [name for name in experiments if name.startswith("sanity-small-")]
    for name in small:
        _, _, network, percent = name.split("-")
        checks.small(runs, network, [float(percent) / 100])
        assert float(percent) / 100 in experiments[f"sanity-{network}"].fractions
    assert len(small) == sum(
        len(experiments[f"sanity-{n}"].fractions) - 1 for n in ("lenet", "mlp") if f"sanity-{n}" in experiments
    )
