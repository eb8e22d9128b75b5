"""The same bits on every instruction set, for every tile size, alone and beside another job."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from problems import compressed, problem

from winnow import core


def digest(n, steps, power=2, classes=3):
    """A hash of everything a run returns; n decides whether columns stay in registers (< 208) or are streamed."""
    mask, w, output, inputs, patches, labels = problem(11, 10, 150, classes, n, density=0.4, power=power, std=0.3)
    network, examples = compressed(mask, w, output, power), core.Examples(inputs, patches, labels)
    coefficients = torch.zeros(10, inputs.shape[1])
    run = dict(steps=steps, learning_rate=0.3, reduction="mean", train_output=True, coefficients=coefficients)
    run["loss"] = "cross_entropy" if classes > 1 else "logistic"
    trace = core.descend(network, examples, **run)
    _, _, logits, losses = core.evaluate(network, examples, loss=run["loss"])
    pattern = core.Pattern((10, 150), network.pointers, network.coordinates)
    x, w = inputs.T.contiguous().requires_grad_(), network.weights.clone().requires_grad_()
    y = core.masked_linear(x, w, pattern)
    y.square().sum().backward()
    parts = (
        trace.losses,
        trace.errors,
        network.weights,
        network.output,
        coefficients,
        logits,
        losses,
        y,
        x.grad,
        w.grad,
    )
    return hashlib.sha256(b"".join(t.detach().contiguous().numpy().tobytes() for t in parts)).hexdigest()


@pytest.fixture
def choose(monkeypatch):
    def choose(isa, tile):
        monkeypatch.setenv("WINNOW_ISA", isa)
        monkeypatch.setenv("WINNOW_TILE", str(tile))
        try:
            return core.isa() == isa
        except RuntimeError:
            return False

    return choose


@pytest.mark.parametrize("classes,power", [(3, 2), (1, 1), (2, 3)])
def test_instruction_sets_and_tiles_change_no_bit(choose, classes, power):
    runs = {
        (isa, tile): digest(100, 200, power, classes)
        for isa in ("v4", "v3", "plain")
        for tile in (0, 1, 7, 64)
        if choose(isa, tile)
    }
    assert len(runs) >= 4 and len(set(runs.values())) == 1


def test_many_columns_too(choose):
    runs = {
        (isa, n, tile): digest(n, 5)
        for isa, tile in (("v4", 0), ("v3", 16), ("plain", 0))
        if choose(isa, tile)
        for n in (215, 333, 1200, 4096)
    }
    for n in (215, 333, 1200, 4096):
        assert len({value for (_, m, _), value in runs.items() if m == n}) == 1


@pytest.mark.parametrize("density", [0.005, 0.05, 0.4])
@pytest.mark.parametrize("columns", [17, 100, 205])
def test_what_is_tuned_to_the_caches_changes_no_bit(choose, monkeypatch, density, columns):
    mask, w, output, inputs, patches, labels = problem(3, 12, 5000, 3, columns - 3, density, power=2, std=0.3)
    run = dict(steps=4, learning_rate=0.3, loss="cross_entropy", reduction="mean")
    found = set()
    for isa, tile in (("v4", 0), ("v4", None), ("v3", None), ("plain", 0)):
        if choose(isa, tile):
            if tile is None:
                monkeypatch.delenv("WINNOW_TILE")
            for second_level in (1 << 20, 2 << 20, 4 << 20):
                monkeypatch.setenv("WINNOW_L2", str(second_level))
                network = compressed(mask, w, output, 2)
                examples = core.Examples(inputs, patches, labels)
                trace = core.descend(network, examples, **run)
                z = core.preactivations(network, inputs).contiguous()
                logits = core.evaluate(network, examples, loss="cross_entropy")[2]
                found.add(tuple(t.numpy().tobytes() for t in (trace.losses, network.weights, z, logits)))
    assert len(found) == 1


@pytest.mark.parametrize("train_output", [False, True])
@pytest.mark.parametrize(
    ("neurons", "d", "density", "columns"),
    [
        (7, 133, 1.0, 205),  # three pairs of dense neurons and one alone, and a last tile that is no whole group
        (7, 132, 1.0, 300),  # more columns than registers hold
        (30, 12_000, 0.01, 205),  # gathered rows in tiles of few weights
        (600, 6_000, 0.001, 205),  # gathered rows, from the first neuron to the last and back
    ],
)
def test_a_slow_third_level_changes_no_bit(choose, monkeypatch, neurons, d, density, columns, train_output):
    mask, w, output, inputs, patches, labels = problem(5, neurons, d, 3, columns - 3, density, 2, scale=3.0, std=0.3)
    run = dict(steps=64, learning_rate=0.3, loss="cross_entropy", reduction="mean", train_output=train_output)
    if not choose("v4", 0):
        pytest.skip("this processor has no AVX-512, for which alone steps of a slow third level are compiled")
    found = []
    for isa, second_level in (("plain", 1 << 20), ("v4", 1 << 20), ("v4", 2 << 20), ("v3", 2 << 20)):
        if choose(isa, 0):
            monkeypatch.delenv("WINNOW_TILE")
            monkeypatch.setenv("WINNOW_L2", str(second_level))
            network, coefficients = compressed(mask, w, output, 2), torch.zeros(neurons, inputs.shape[1])
            trace = core.descend(network, core.Examples(inputs, patches, labels), coefficients=coefficients, **run)
            parts = (trace.losses, network.weights, network.output, coefficients)
            found.append(tuple(part.numpy().tobytes() for part in parts))
    assert trace.losses[-1] != trace.losses[0]
    assert len(found) >= 2 and len(set(found)) == 1


def test_an_unknown_instruction_set_is_refused(monkeypatch):
    monkeypatch.setenv("WINNOW_ISA", "v5")
    with pytest.raises(RuntimeError, match="WINNOW_ISA=v5"):
        core.isa()


def test_a_step_says_so_in_one_line(library):
    command = "from winnow import core; import sys; core.load(sys.argv[1])"
    environment = os.environ | {"WINNOW_ISA": "v5", "PYTHONPATH": str(Path(core.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", command, library], env=environment, capture_output=True, text=True)
    assert "WinnowError: WINNOW_ISA = v5: must be v4 (AVX-512), v3 (AVX2) or plain" in done.stderr


def test_two_processes_at_once_and_two_threads_get_the_bits_of_one(library):
    here = Path(__file__).parent
    paths = [str(here), str(Path(core.__file__).parents[2])]
    code = f"""
import sys; sys.path[:0] = {paths!r}
from winnow import core; core.load({str(library)!r})
import torch; torch.set_num_threads(int(sys.argv[1]))
from test_bits import digest; print(digest(100, 200))"""
    jobs = [subprocess.Popen([sys.executable, "-c", code, n], stdout=subprocess.PIPE, text=True) for n in "12"]
    assert {job.communicate()[0].strip() for job in jobs} == {digest(100, 200)}
