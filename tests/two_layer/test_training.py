import math
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from winnow import core, randomness
from winnow.collect import collect
from winnow.config.base import RunSettings, read
from winnow.core import reference
from winnow.errors import WinnowError
from winnow.files import read_arrays, write_json
from winnow.randomness import Stream, generator
from winnow.two_layer import data, pruning, training
from winnow.two_layer.data import draw
from winnow.two_layer.decomposition import Tracker
from winnow.two_layer.network import build, examples, hidden_shape, output_weights
from winnow.two_layer.settings import TwoLayerSettings

SMALL = {
    "data": {"dimension": 20, "n_train": 12, "n_test": 30},
    "model": {"width": 6, "output_scale": 1},
    "training": {"learning_rate": 0.05, "max_steps": 200, "evaluations": 6},
}


@pytest.fixture
def jobs(tmp_path, library):
    """Write settings and data, then train by the step's own command: returns a function of settings and seeds."""

    def train(seeds, fractions=("0.5",), name="a", experiment="demo", streams=None, **changes):
        tree = changes | {section: SMALL[section] | changes.get(section, {}) for section in SMALL}
        settings = TwoLayerSettings(kind="two_layer", **tree)
        run = RunSettings[TwoLayerSettings](experiment=experiment, root_seed=7, streams=streams, settings=settings)
        settings = tmp_path / name / "experiment.json"
        write_json(settings, run.model_dump())
        folder = settings.parent
        arrays = [str(folder / f"seed-{seed}.npz") for seed in seeds]
        more = [f"-{fraction}" for fraction in fractions[1:]]
        outs = [str(folder / f"seed-{seed}{fraction}.parquet") for seed in seeds for fraction in ("", *more)]
        common = ["--settings", str(settings), "--seeds", *map(str, seeds)]
        data.main([*common, "--out", *arrays])
        training.main([*common, "--core", str(library), "--fraction", *fractions, "--data", *arrays, "--out", *outs])
        return outs

    return train


def test_evaluation_steps_are_log_spaced_and_hold_both_ends():
    assert training.evaluation_steps(1000, 5) == [0, 1, 10, 100, 1000]
    assert training.evaluation_steps(3, 20) == [0, 1, 2, 3]
    assert training.evaluation_steps(1, 2) == [0, 1]
    assert training.evaluation_steps(1000, 2) == [0, 1000]
    assert training.evaluation_steps(1000, 3) == [0, 1, 1000]


@given(st.integers(1, 2**53), st.integers(2, 300))
def test_evaluation_steps_go_from_0_to_the_last_step(max_steps, count):
    steps = training.evaluation_steps(max_steps, count)
    assert (steps[0], steps[-1]) == (0, max_steps)
    assert steps == sorted(set(steps))
    assert len(steps) <= count


def test_a_run_of_two_evaluations_is_trained_to_its_last_step(jobs):
    assert pq.read_table(jobs([1], training={"evaluations": 2})[0])["step"].to_pylist() == [0, 200]


def test_the_balanced_train_loss_is_measured_where_runs_are_compared(jobs):
    classes = {"distribution": "classes", "classes": 2, "sigma_n": 0.1, "noise_orthogonal": False}
    model = {"output_layer": "class_sums", "power": 3, "init_std": 0.3, "output_scale": None}
    descent = {"loss": "cross_entropy", "learning_rate": 0.5, "milestones": [0.3], "eps": 0.1}
    table = pq.read_table(jobs([1], data=classes, model=model, training=descent)[0]).to_pydict()
    measured = [
        loss for loss, value in zip(table["train_loss"], table["train_loss_balanced"], strict=True) if value == value
    ]
    firsts = [next(loss for loss in table["train_loss"] if loss <= stop) for stop in (0.3, 0.1)]
    assert measured == firsts
    assert table["status"][0] == "converged"
    never = pq.read_table(
        jobs([1], name="b", data=classes, model=model, training=descent | {"eps": None})[0]
    ).to_pydict()
    assert not math.isnan(never["train_loss_balanced"][-1])
    assert not any(map(math.isnan, never["test_loss_balanced"]))


def test_a_run_is_a_table_with_every_column(jobs):
    table = pq.read_table(jobs([3])[0]).to_pydict()
    assert table["step"] == training.evaluation_steps(200, 6)
    assert set(table["experiment"]) == {"demo"}
    assert (set(table["fraction"]), set(table["seed"]), set(table["method"])) == ({0.5}, {3}, {"bernoulli"})
    assert set(table["status"]) == {"max_steps"}
    assert 0.3 < table["density"][0] < 0.7
    assert table["train_loss"][0] > table["train_loss"][-1]
    assert all(0 <= error <= 1 for error in table["train_error"] + table["test_error"])


def test_a_run_takes_the_streams_that_its_settings_name(jobs, monkeypatch):
    """Data, test examples, masks, initial weights: all of them, or a pair would be none."""
    monkeypatch.setattr(randomness, "DRAWN", [])
    borrowed = {"name": "borrowed", "experiment": "mine", "streams": "demo"}
    first, second = (pq.read_table(jobs([3], **how)[0]) for how in ({}, borrowed))
    assert set(randomness.DRAWN) == {f"7/demo/3/{stream}" for stream in ("data", "init", "mask")}
    assert set(second["experiment"].to_pylist()) == {"mine"}
    assert first.drop_columns("experiment").equals(second.drop_columns("experiment"))
    assert not first.equals(pq.read_table(jobs([3], name="own", experiment="mine")[0]))


def test_seeds_per_job_never_changes_a_byte(jobs):
    together = [Path(out).read_bytes() for out in jobs([0, 1, 2], name="together")]
    alone = [Path(jobs([seed], name=f"alone-{seed}")[0]).read_bytes() for seed in (0, 1, 2)]
    assert together == alone
    assert len(set(together)) == 3


@pytest.mark.parametrize("kind", ["binary", "theory"])
def test_fractions_per_job_never_changes_a_byte(jobs, kind):
    changes = THEORY | {"training": THEORY["training"] | {"max_steps": 20}} if kind == "theory" else {}
    fractions = ["0.5", "0", "0.9"]
    together = [Path(out).read_bytes() for out in jobs([0, 1], fractions, name="together", **changes)]
    alone = {
        (seed, fraction): Path(jobs([seed], [fraction], name=f"alone-{seed}-{fraction}", **changes)[0]).read_bytes()
        for seed in (0, 1)
        for fraction in fractions
    }
    assert together == list(alone.values())
    assert len(set(together)) == 6


def test_training_stops_at_the_first_step_below_eps(jobs):
    whole = pq.read_table(jobs([1], name="whole", training={"evaluations": 200})[0]).to_pydict()
    eps = whole["train_loss"][whole["step"].index(50)]
    cut = pq.read_table(jobs([1], name="cut", training={"eps": eps})[0]).to_pydict()
    first = next(step for step, loss in zip(whole["step"], whole["train_loss"], strict=True) if loss <= eps)
    assert cut["step"][-1] == first
    assert set(cut["status"]) == {"converged"}
    assert cut["train_loss"][-1] <= eps


def test_a_diverging_run_is_a_result(jobs, capsys):
    changes = {"training": {"learning_rate": 1e6, "max_steps": 500}, "model": {"power": 3}}
    table = pq.read_table(jobs([3], **changes)[0]).to_pydict()
    assert set(table["status"]) == {"diverged"}
    assert table["step"][-1] < 500
    assert all(math.isfinite(loss) for loss in table["train_loss"])
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    for part in ("demo", "fraction 0.5", "seed 3", f"last finite step {table['step'][-1]}", "learning rate 1000000.0"):
        assert part in warning


def test_a_run_that_is_not_finite_at_the_start_is_not_dropped(jobs):
    table = pq.read_table(jobs([2], model={"power": 8, "init_std": 1e9})[0]).to_pydict()
    assert (table["status"], table["step"]) == (["diverged"], [0])
    assert math.isnan(table["train_loss"][0])


TRAINED = {"output_layer": "trained"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": TRAINED, "pruning": {"target": "neurons"}},
        {"model": TRAINED, "training": {"loss": "cross_entropy", "reduction": "sum", "learning_rate": 0.01}},
    ],
    ids=["weights", "neurons", "two outputs"],
)
def test_the_whole_run_agrees_with_the_dense_reference(jobs, changes):
    """Losses over 200 steps, from the same data, mask and weights, by dense autograd."""
    out = jobs([5], name="check", **changes)[0]
    settings = read(out.replace("seed-5.parquet", "experiment.json"), TwoLayerSettings).settings
    arrays = read_arrays(out.replace(".parquet", ".npz"))
    pattern = pruning.draw(settings.pruning, hidden_shape(settings), 0.5, generator(7, "demo", 5, "mask"))
    network = build(settings, pattern, generator(7, "demo", 5, "init"))
    mask, weights = (torch.zeros(pattern.shape) for _ in range(2))
    rows = torch.repeat_interleave(torch.arange(pattern.shape[0]), network.pointers.diff())
    mask[rows, network.coordinates.long()] = 1
    weights[rows, network.coordinates.long()] = network.weights
    seen = examples(settings, arrays)
    how = settings.training
    losses, _, _ = reference.descend(
        weights,
        mask,
        network.output,
        network.power,
        seen.inputs,
        seen.patches,
        seen.labels,
        steps=how.max_steps,
        learning_rate=how.learning_rate,
        loss=how.loss,
        reduction=how.reduction,
        train_output=settings.model.output_layer == "trained",
    )
    table = pq.read_table(out).to_pydict()
    assert table["train_loss"] == pytest.approx([losses[step] for step in table["step"]], rel=1e-5)


def test_a_broken_data_file_leaves_no_output(jobs, tmp_path, library):
    jobs([0], name="x")
    folder = tmp_path / "x"
    (folder / "seed-0.npz").write_bytes(b"PK")
    (folder / "seed-0.parquet").unlink()
    arguments = [
        "--settings",
        str(folder / "experiment.json"),
        "--core",
        str(library),
        "--fraction",
        "0",
        "--seeds",
        "0",
    ]
    with pytest.raises(WinnowError, match=r"seed-0\.npz"):
        training.main([*arguments, "--data", str(folder / "seed-0.npz"), "--out", str(folder / "seed-0.parquet")])
    assert sorted(path.name for path in folder.iterdir()) == ["experiment.json", "seed-0.npz"]


THEORY = {
    "data": {
        "distribution": "classes",
        "classes": 3,
        "dimension": 64,
        "n_test": 40,
        "sigma_n": 0.02,
        "noise_orthogonal": False,
    },
    "model": {"width": 8, "power": 3, "init_std": 0.3, "output_layer": "class_sums"},
    "training": {
        "loss": "cross_entropy",
        "learning_rate": 0.5,
        "max_steps": 3000,
        "eps": 0.001,
        "milestones": [0.1, 0.01],
    },
}


def test_milestones_are_evaluated_at_their_first_step_and_change_nothing_else(jobs):
    (path,) = jobs([0], name="with", **THEORY)
    table = pq.read_table(path).to_pandas()
    assert table.status.iloc[0] == "converged"
    plain = THEORY | {"training": THEORY["training"] | {"milestones": [], "evaluations": 3000}}
    (path,) = jobs([0], name="without", **plain)
    every = pq.read_table(path).to_pandas().set_index("step")
    for loss in (0.1, 0.01, 0.001):
        first = table[table.train_loss <= loss].step.iloc[0]
        assert every.train_loss.loc[first] == table.set_index("step").train_loss.loc[first]
        earlier = every[every.index < first]
        assert (earlier.train_loss > loss).all()
    assert table.step.is_unique
    assert table.step.iloc[-1] == every.index[-1]


def test_theory_runs_carry_the_decomposition_and_a_warning(jobs, capsys):
    (path,) = jobs([0], fractions=["0.9"], **THEORY)
    table = pq.read_table(path).to_pandas()
    assert (table.groupby("seed")[["classes_missing", "signal_neurons"]].nunique() == 1).all(axis=None)
    assert len(table.signal_strength.iloc[-1]) == 24
    assert len(table.signal_strength.iloc[0]) == 0
    assert table.gamma_max.is_monotonic_increasing
    assert table.zeta_max.is_monotonic_increasing
    assert (table.decomposition_unique == 0).all()
    assert "Definition 14 is not the only decomposition (seeds 0)" in capsys.readouterr().err


def test_diverged_and_converged_runs_of_the_theory_are_one_table(jobs, tmp_path, monkeypatch):
    """One diverges between two evaluations, one has not a finite step."""
    monkeypatch.chdir(tmp_path)
    sick = (
        {"training": THEORY["training"] | {"learning_rate": 1e6}},
        {"model": THEORY["model"] | {"power": 8, "init_std": 1e9}},
    )
    for seed, changes in enumerate(({}, *sick)):
        (made,) = jobs([seed], name=str(seed), **THEORY | changes)
        path = Path(f"results/demo/runs/fraction-0.5/seed-{seed}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, path)
    statuses = collect("demo", {"fraction": ["0.5"], "seed": ["0", "1", "2"]}, {}, "m.parquet", "s.parquet")
    assert statuses == {"converged": 1, "diverged": 2}
    last = pq.read_table("s.parquet").to_pandas()
    assert last.variance_max.isna().tolist() == [False, True, True]
    assert last.train_loss.isna().tolist() == [False, False, True]
    assert 0 < last.step[1] < last.step[0]


def test_the_examples_of_a_seed_are_gone_before_the_next_ones_are_drawn(jobs, monkeypatch):
    """At d = 1,000,000 those of two seeds took 1.3 GB where a job asks for 1."""
    seen, draw = [], training._examples

    def watched(*arguments):
        assert all(inputs() is None for inputs in seen)
        found = draw(*arguments)
        seen.extend(weakref.ref(one.inputs) for one in found)
        return found

    monkeypatch.setattr(training, "_examples", watched)
    jobs([1, 2, 3], fractions=("0", "0.5"))
    assert len(seen) == 6


FLAT = THEORY | {"training": THEORY["training"] | {"max_steps": 20000, "flat_below": 0.3}}


def at(init_std: float, **training) -> dict:
    """FLAT from other initial weights, trained otherwise."""
    return FLAT | {"model": FLAT["model"] | {"init_std": init_std}, "training": FLAT["training"] | training}


def test_longer_steps_while_outputs_are_flat_end_where_plain_ones_do(jobs):
    """From 0.003 plain steps take nearly a thousand; from 1e-9 only longer ones arrive."""
    long, plain, tiny, stuck = (
        pq.read_table(jobs([0], ("0",), name, **changes)[0]).to_pandas()
        for name, changes in {
            "long": at(0.003),
            "plain": at(0.003, flat_below=None),
            "tiny": at(1e-9),
            "stuck": at(1e-9, flat_below=None),
        }.items()
    )
    assert [table.status.iloc[-1] for table in (long, plain, tiny, stuck)] == ["converged"] * 3 + ["max_steps"]
    ends = [table.iloc[-1] for table in (long, plain, tiny)]
    assert 5 * ends[0].step < ends[1].step
    assert ends[2].step < 2000
    for end in ends:
        assert end.test_error == 0
        assert end.gamma_least == pytest.approx(ends[1].gamma_least, rel=0.15)
    # the neurons that learn are the same: near 0 all that a smaller start changes is the time
    winners = [np.argmax(end.signal_strength) for end in ends]
    assert len(set(winners)) == 1
    assert stuck.train_loss.iloc[-1] == pytest.approx(np.log(3))
    # a step taken alone is no evaluation: those are where they are of plain steps, at milestones and at the end
    evaluated = set(training.evaluation_steps(20000, 6))
    for table in (long, tiny):
        assert table.step.is_monotonic_increasing and table.step.is_unique
        assert set(table.step) >= {step for step in evaluated if step < table.step.iloc[-1]}
        assert (table[~table.step.isin(evaluated)].train_loss <= 0.1).all() and len(table) <= 6 + 3


def flat_network(power: int = 3, **data) -> tuple[Tracker, Callable[[bool], np.ndarray]]:
    """A network at its start, and a function: the largest preactivation by class, of its neurons on its own signal and
    (unless asked otherwise) the noise of its own examples."""
    model = at(1e-9)["model"] | {"power": power}
    settings = TwoLayerSettings(kind="two_layer", **FLAT | {"data": FLAT["data"] | data, "model": model})
    rng = Stream(0)
    pattern = pruning.draw(settings.pruning, hidden_shape(settings), 0.0, rng, 3)
    network = build(settings, pattern, rng)
    train = examples(settings, draw(settings.data, 50, rng))

    def largest(noise: bool = True) -> np.ndarray:
        z = core.preactivations(network, train.inputs).numpy().reshape(3, 8, -1)
        own = [np.append(np.flatnonzero(train.labels == k) if noise else [], 50 + k).astype(int) for k in range(3)]
        return np.array([z[k][:, own[k]].max() for k in range(3)])

    return Tracker(network, train, train, settings), largest


def test_a_run_that_diverges_in_longer_steps_says_so(jobs, capsys):
    jobs([2], ("0",), **at(0.003, learning_rate=1e30))
    assert "learning rate 1e+30, flat_below 0.3" in capsys.readouterr().err


def test_noise_of_the_own_examples_ends_long_steps_as_well(library):
    tracker, largest = flat_network(sigma_n=2.0)
    assert (largest() > largest(noise=False)).all()
    assert tracker.rates()[0].numpy() == pytest.approx(0.5 * 0.3 / largest(), rel=1e-6)


def test_of_a_higher_power_steps_are_longer_by_a_power_more(library):
    tracker, largest = flat_network(power=4)
    assert tracker.rates()[0].numpy() == pytest.approx(0.5 * (0.3 / largest()) ** 2, rel=1e-6)


def test_while_all_outputs_are_flat_every_class_grows_at_the_same_pace(library):
    tracker, largest = flat_network()
    network, train = tracker.network, tracker.train
    before = largest()
    rates, flat = tracker.rates()
    assert flat
    assert rates.numpy() == pytest.approx(0.5 * 0.3 / before, rel=1e-6)
    core.descend(network, train, steps=1, learning_rate=rates, loss="cross_entropy", reduction="mean")
    shares = np.bincount(train.labels.numpy()) / 50
    # the signal grows by rate q z^2 (1 - 1/K) n_k / n: a share of 0.3 that does not know how small it started
    assert largest() / before - 1 == pytest.approx(0.5 * 0.3 * 3 * (2 / 3) * shares, rel=0.02)
    network.weights.zero_()
    assert tracker.rates()[1] is False


@pytest.mark.parametrize("layer", ["fixed", "trained"])
def test_a_run_says_how_many_of_its_outputs_start_positive(jobs, layer):
    """As drawn, at every fraction, whatever training makes of them."""
    model = {"width": 4, "output_layer": layer, "output_init": "sign"}
    fast = {"learning_rate": 1.0, "max_steps": 30}
    seeds = range(12)
    tables = [pq.read_table(out) for out in jobs(seeds, ["0", "0.9"], model=model, training=fast)]
    found = [set(table["positive_outputs"].to_pylist()) for table in tables]
    settings = TwoLayerSettings(kind="two_layer", **SMALL | {"model": SMALL["model"] | model})
    outputs = [output_weights(settings, generator(7, "demo", seed, "init")) for seed in seeds]
    drawn = [int((weights > 0).sum()) for weights in outputs]
    assert found == [{count} for count in drawn for _ in ("0", "0.9")]
    assert len(set(drawn)) > 2


def test_positive_outputs_of_an_output_a_class_are_those_of_the_first_over_the_second():
    two = torch.tensor([[1.0, -2.0, 0.5], [0.5, -1.0, 0.5]])
    assert training.positive_outputs(two) == {"positive_outputs": 1}
    assert training.positive_outputs(two[:1]) == {"positive_outputs": 2}
    assert training.positive_outputs(torch.ones(3, 4)) == {}


def test_a_network_of_class_sums_has_no_positive_outputs(jobs):
    table = pq.read_table(jobs([1], **THEORY | {"training": THEORY["training"] | {"max_steps": 2}})[0])
    assert "positive_outputs" not in table.column_names
