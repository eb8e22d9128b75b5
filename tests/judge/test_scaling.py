"""The scaling study on made-up runs with known numbers, and the sizes that its configuration says it has."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from winnow.analysis import race
from winnow.analysis.selection import EPS, Regime
from winnow.audit.records import CHECKOUT
from winnow.config.load import load
from winnow.judge import scaling
from winnow.judge.evidence import nearer_evidence
from winnow.paper import formulas

STUDY, SMALL = (
    load(yaml.safe_load((CHECKOUT / name).read_text())).experiments for name in ("config/scaling.yaml", "config.yaml")
)
RACES = [name for name in STUDY if name.startswith("scaling-race-")]
OVER = [name for name in STUDY if name.startswith("scaling-over-")]
SEEDS = 8


def of(prefix: str) -> list:
    """The experiments of the study and of its small version in the default run whose names start so."""
    found = {"study": STUDY, "default": SMALL}
    return [pytest.param(e[n], id=f"{which} {n}") for which, e in found.items() for n in e if n.startswith(prefix)]


def made_up(name: str, constant: float = 0.2, zeta: float = 0.3, time: float = -0.4) -> Regime:
    """An experiment of the study in which the race's constant and the two exponents are known."""
    settings = STUDY[name].settings
    data, model = settings.data, settings.model
    level, rows = formulas.feature_scale(model.width, model.power), []
    own = formulas.theorem_density(data.classes, model.width, data.dimension)
    for fraction in STUDY[name].fractions:
        density = 1 - fraction
        cell = pd.DataFrame({"race": [race.predictors(settings, density)[0]], "kept": 1.0, "chance": 1 / data.classes})
        accuracy = float(race.accuracy(cell, 3.0, constant)[0]) if name in RACES else 0.5
        predicted = formulas.signal_time(density, model.width, data.classes, model.init_std, level, model.power)
        for seed in range(SEEDS):
            wobble = 0.01 * math.sin(seed + 100 * density)
            common = {"fraction": fraction, "seed": seed, "run": f"{fraction}/{seed}", "status": "converged"}
            common |= {
                "classes_dead": 0,
                "gamma_max": 1.0,
                "classes_missing": 0 if name in RACES or density > 1.5 * own else data.classes,
            }
            common |= {"zeta_max": formulas.noise_scale(model.init_std, data.sigma_n, density, data.dimension)}
            common["zeta_max"] *= 10 * density ** (zeta + wobble)
            common |= {"omega_max": 0.0, "gamma_cross": 1e-6, "test_error": 1 - accuracy + wobble / 10}
            learned = math.exp(predicted) * density ** (time + wobble)
            memorized = 1000 * density ** (-model.power / 2 + wobble)
            for step, loss, gamma in ((0, 1.4, 1e-6), (learned, 0.5, level), (memorized + 1e6, EPS / 10, 1.0)):
                at = {"step": step - 1e6 * (name in OVER and step > 1e6), "train_loss": loss, "gamma_least": gamma}
                at |= {"test_loss": loss + 1, "train_loss_balanced": loss, "test_loss_balanced": loss + density}
                rows.append(common | at)
    return Regime(name, pd.DataFrame(rows), settings)


def claims(*regimes: Regime) -> list:
    return scaling.scaling_claims({regime.name: regime for regime in regimes})


def test_the_numbers_of_a_race_are_recovered():
    found = race.numbers(made_up("scaling-race-1200")).groupby("number").value
    assert found.size().tolist() == [SEEDS] * 3
    assert found.mean()["race-d"] == pytest.approx(0.2, abs=0.05)
    assert found.mean()["4-zeta-d"] == pytest.approx(0.3, abs=0.02)
    assert found.mean()["4-time-d"] == pytest.approx(-0.4, abs=0.02)


def test_where_the_signal_wins_is_mild_and_ahead():
    regime = made_up("scaling-race-1200")
    inside = race.won(regime)
    fractions = [f for f in STUDY[regime.name].fractions if race.predictors(regime.settings, 1 - f)[0] > 0.5]
    assert sorted(inside.table.fraction.unique()) == fractions
    sparser = regime.table.assign(fraction=regime.table.fraction.replace(fractions[-1], 0.99))
    assert 0.99 not in set(race.won(replace(regime, table=sparser)).table.fraction)


@pytest.mark.parametrize(
    ("last", "verdict"), [(0.2, "for"), (-0.2, "for"), (1.8, "against"), (-1.8, "against"), (1.0, None), (-1.0, None)]
)
@pytest.mark.parametrize("side", [1, -1])
def test_nearer_means_nearer_on_either_side_of_0(last, verdict, side):
    wobble = np.linspace(-0.3, 0.3, 20)
    found = nearer_evidence(side * (1 + wobble), side * (last + wobble))
    assert (found.p_for < 0.01, found.p_against < 0.01) == (verdict == "for", verdict == "against")
    assert found.estimate == pytest.approx(1 - last)
    assert found.low < found.estimate < found.high
    assert found.n == 20


def test_every_experiment_is_judged_and_widths_are_not_mixed():
    large = made_up("scaling-race-76800", constant=0.05, zeta=0.05, time=-0.6)
    wide = made_up("scaling-race-1200-wide")
    found = claims(made_up("scaling-race-1200"), wide, large, made_up("scaling-over-1000000"))
    assert len({(claim.id, claim.regime) for claim in found}) == len(found)
    assert {claim.regime for claim in found if claim.id == "race"} == {"scaling-race-1200", wide.name, large.name}
    nearer = {claim.id: claim for claim in found if claim.id.endswith("-d")}
    assert {claim.regime for claim in nearer.values()} == {"scaling-race, m = 100, d = 1,200 and 76,800"}
    assert nearer["race-d"].found.p_for < 0.01
    assert nearer["4-zeta-d"].found.p_for < 0.01
    assert nearer["4-time-d"].found.p_against < 0.01
    over = {claim.id: claim for claim in found if claim.regime == "scaling-over-1000000"}
    assert set(over) == {"3-signal", "3-train", "3-zeta", "3-accuracy", "3-loss", "4-time-noise"}
    assert [over[key].broken for key in ("3-signal", "3-train", "3-zeta")] == [(), (), ()]  # at the theorem's density
    assert over["3-signal"].found.estimate == 1
    assert over["3-accuracy"].found.estimate == pytest.approx(0.5, abs=0.01)


def test_without_the_study_nothing_is_said_of_it():
    assert claims() == []
    broken = made_up("scaling-race-1200")
    (claim,) = claims(replace(broken, table=broken.table.drop(columns="classes_missing")))
    assert claim.found is None
    assert "needs `classes_missing` in the runs of `scaling-race-1200`" in claim.statement


def test_a_race_that_the_signal_never_wins_is_judged_where_it_can_be():
    races = [made_up(name) for name in RACES[:2]]
    lost = replace(races[0], table=races[0].table[races[0].table.fraction == 0])
    verdicts = {claim.id: claim.verdict(claim.p_value) for claim in claims(lost, races[1]) if lost.name in claim.regime}
    assert verdicts["1"] == verdicts["4-time-signal"] == "not judged"


def test_a_race_is_fitted_to_runs_that_did_not_diverge():
    one, other = (made_up(name) for name in RACES[:2])
    lost = (one.table.seed == 0) & (one.table.fraction > 0.5)
    ends = one.table.train_loss <= EPS
    garbage = one.table.assign(
        status=one.table.status.mask(lost, "diverged"),
        test_error=one.table.test_error.mask(lost & ends, 1.0),
        train_loss=one.table.train_loss.mask(lost & ends, 9.0),
    )
    fewer = race.fit(race.of_dimension(replace(one, table=one.table[~lost])))
    assert race.fit(race.of_dimension(replace(one, table=garbage))).tolist() == fewer.tolist()
    nothing = garbage.assign(status="diverged", train_loss=garbage.train_loss.clip(lower=1))
    found = claims(replace(one, table=nothing), other)
    told = {(claim.id, claim.regime): claim.statement for claim in found if claim.found is None}
    says = "scaling-race-1200: a race is fitted to two fractions or values at least at which some run did not diverge"
    assert told == {(name, "scaling-race, m = 100"): says for name in scaling.NUMBERS} | {("race", one.name): says}


def test_widths_that_are_not_swept_are_told():
    widths = STUDY["scaling-widths"].settings
    table = pd.DataFrame({"fraction": [0.0], "seed": [0], "classes_missing": [0]})
    (claim,) = claims(Regime("scaling-widths", table, widths))
    assert claim.statement == "needs `width` in the runs of `scaling-widths`" and claim.found is None


def test_a_race_without_noise_is_told():
    one = made_up("scaling-race-1200")
    silent = one.settings.at({"sigma_n": "0"})
    (claim,) = claims(replace(one, settings=silent))
    assert claim.statement == "data.sigma_n: 0; a race of signal and noise needs more" and claim.found is None
    other = made_up("scaling-race-19200")
    both = claims(replace(one, settings=silent), other)
    said = [claim.id for claim in both if claim.regime == other.name]
    assert said == [claim.id for claim in claims(other)]  # it silences itself alone


def test_a_single_seed_is_not_judged():
    one = made_up("scaling-race-1200")
    found = claims(replace(one, table=one.table[one.table.seed == 0]))
    assert {claim.id for claim in found if not math.isnan(claim.p_value)} <= {"1"}  # a share has a binomial test


@pytest.mark.parametrize("experiment", of("scaling-race-"))
def test_every_race_starts_as_far_from_its_boundary_and_goes_down_to_the_mild_density(experiment):
    data, model = experiment.settings.data, experiment.settings.model
    densities = 1 - np.array(experiment.fractions)
    assert data.n_train == round(10 * math.log(data.dimension))
    assert race.predictors(experiment.settings, 1)[0] == pytest.approx(-1.5, abs=0.001)
    lowest = formulas.mild_density(model.width, data.dimension)
    assert lowest <= densities[-1] < 1.01 * lowest
    assert len(densities) == 12
    assert np.log(densities) == pytest.approx(np.linspace(0, np.log(lowest), 12), abs=0.01)


@pytest.mark.parametrize("experiment", of("scaling-over-"))
def test_over_pruning_is_at_theorem_9s_density(experiment):
    data, model = experiment.settings.data, experiment.settings.model
    own = formulas.theorem_density(data.classes, model.width, data.dimension)
    densities = 1 - np.array(experiment.fractions)
    assert densities / own == pytest.approx([4, 2, 1, 0.5], rel=0.001)
    assert densities[2] <= own
    assert data.sigma_n * math.sqrt(own * data.dimension) == pytest.approx(0.8, rel=0.001)
