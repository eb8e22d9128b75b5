"""Training on the kept weights against the dense reference, and everything a run can run into."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from problems import compressed, dense, problem
from torch.nn import functional

from winnow import core
from winnow.core import reference

ANY = dict(learning_rate=0.1, loss="logistic", reduction="mean")


def double(*tensors):
    return [t.double() if t.is_floating_point() else t for t in tensors]


def start(seed=0, neurons=9, d=40, classes=1, n=23, power=1, **more):
    """A network, its examples and its dense weights and mask."""
    mask, w, output, inputs, patches, labels = problem(seed, neurons, d, classes, n, power=power, **more)
    return compressed(mask, w, output, power), core.Examples(inputs, patches, labels), w, mask


@settings(max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    neurons=st.integers(1, 30),
    d=st.integers(1, 120),
    classes=st.integers(1, 6),
    n=st.integers(1, 300),
    power=st.integers(1, 4),
    patches=st.integers(1, 2),
    density=st.sampled_from([0.02, 0.1, 0.5, 0.9, 1.0]),
    reduction=st.sampled_from(["mean", "sum"]),
    train_output=st.booleans(),
    one_hot=st.booleans(),
)
def test_fifty_steps_agree_with_the_reference(
    seed, neurons, d, classes, n, power, patches, density, reduction, train_output, one_hot
):
    one_hot = one_hot and classes > 1
    mask, w, output, inputs, patches, labels = problem(
        seed, neurons, d, classes, n, density, power, patches, one_hot=one_hot, scale=0.5
    )
    rate = 0.05 if reduction == "mean" else 0.05 / n
    run = dict(steps=50, learning_rate=rate, reduction=reduction, train_output=train_output)
    run["loss"] = "logistic" if classes == 1 else "cross_entropy"
    network = compressed(mask, w, output, power)
    trace = core.descend(network, core.Examples(inputs, patches, labels), **run)
    w, output, inputs = double(w, output, inputs)
    losses, weights, out = reference.descend(w, mask, output, power, inputs, patches, labels, **run)
    assert torch.allclose(trace.losses, torch.tensor(losses, dtype=torch.float64), rtol=1e-5)
    assert (dense(network, d) - weights * mask).norm() <= 1e-5 * (weights * mask).norm()
    assert (network.output - out).norm() <= 1e-5 * out.norm()
    assert trace.steps == 50 and trace.status == "running"
    f = reference.logits(weights, mask, out, power, inputs, patches)
    loss, error, logits, losses = core.evaluate(
        network, core.Examples(inputs.float(), patches, labels), loss=run["loss"]
    )
    assert logits.numpy() == pytest.approx(f.numpy(), rel=1e-4, abs=1e-5)
    assert loss == trace.losses[-1] and error == trace.errors[-1]
    several = run["loss"] == "cross_entropy"
    each = (
        functional.cross_entropy(logits.T, labels, reduction="none")
        if several
        else -functional.logsigmoid(labels * logits[0])
    )
    assert torch.allclose(losses, each, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("one_hot", [True, False])
def test_every_output_may_have_a_learning_rate_of_its_own(one_hot, reduction):
    """As the reference has it; where a neuron has one output, the rate is that of its weights."""
    mask, w, output, inputs, patches, labels = problem(4, 12, 40, 3, 23, power=3, one_hot=one_hot, scale=0.5)
    rates = torch.tensor([0.1, 0.0, 0.4], dtype=torch.float64) / (1 if reduction == "mean" else 23)
    run = dict(steps=20, learning_rate=rates, loss="cross_entropy", reduction=reduction, train_output=not one_hot)
    network, before = compressed(mask, w, output, 3), w * mask
    trace = core.descend(network, core.Examples(inputs, patches, labels), **run)
    losses, weights, out = reference.descend(
        *(double(w)[0], mask, *double(output), 3, *double(inputs), patches, labels), **run
    )
    assert torch.allclose(trace.losses, torch.tensor(losses, dtype=torch.float64), rtol=1e-5)
    assert (dense(network, 40) - weights * mask).norm() <= 1e-5 * (weights * mask).norm()
    assert (network.output - out).norm() <= 1e-5 * out.norm()
    if one_hot:
        moved = (dense(network, 40) - before).abs().amax(1) > 0
        assert set(output[:, moved].argmax(0).tolist()) == {0, 2}
    with pytest.raises(RuntimeError, match="expanded size"):
        core.descend(network, core.Examples(inputs, patches, labels), **run | {"learning_rate": rates[:2]})


@pytest.mark.parametrize("power", [2, 3])
@pytest.mark.parametrize("classes,loss", [(1, "logistic"), (3, "cross_entropy")])
def test_the_gradient_is_that_of_finite_differences(power, classes, loss):
    network, examples, w, mask = start(3, classes=classes, power=power, std=0.3)
    before, out = network.weights.double(), network.output.double()
    inputs, patches, labels = examples.inputs.double(), examples.patches, examples.labels

    def value(weights, output):
        full = torch.zeros_like(w, dtype=torch.float64)
        full[mask] = weights
        f = reference.logits(full, mask, output, power, inputs, patches)
        return reference.losses(f, labels, loss).mean()

    rate = 1.0
    core.descend(network, examples, steps=1, learning_rate=rate, loss=loss, reduction="mean", train_output=True)
    for name, old, new in (("weights", before, network.weights), ("output", out, network.output)):
        for i in range(0, old.numel(), 7):
            step = torch.zeros_like(old).reshape(-1)
            step[i] = 1e-5
            step = step.view_as(old)
            pair = [(before + s * step, out) if name == "weights" else (before, out + s * step) for s in (1, -1)]
            slope = (value(*pair[0]) - value(*pair[1])).item() / 2e-5
            moved = (old - new.double()).reshape(-1)[i].item() / rate
            assert moved == pytest.approx(slope, rel=1e-3, abs=2e-6)


def test_neurons_without_weights_and_an_empty_mask():
    mask, w, output, inputs, patches, labels = problem(5, 8, 30, 1, 11)
    mask[[0, 3, 7]] = False
    network = compressed(mask, w, output, 1)
    trace = core.descend(network, core.Examples(inputs, patches, labels), steps=5, **ANY)
    assert trace.losses[-1] < trace.losses[0]
    nothing = compressed(torch.zeros_like(mask), w, output, 1)
    trace = core.descend(nothing, core.Examples(inputs, patches, labels), steps=5, train_output=True, **ANY)
    assert trace.losses.numpy() == pytest.approx(np.log(2)) and (trace.errors == 0.5).all()
    assert torch.equal(nothing.output, output)


def test_a_dead_network_stays_where_it_is():
    mask, w, output, inputs, patches, labels = problem(5, 8, 30, 4, 11)
    network = compressed(mask, -w.abs(), output, 3)
    before = network.weights.clone()
    examples = core.Examples(inputs.abs(), patches, labels)
    trace = core.descend(network, examples, steps=3, learning_rate=1.0, loss="cross_entropy", reduction="sum")
    assert torch.equal(network.weights, before)
    assert trace.losses.numpy() == pytest.approx(np.log(4))
    assert trace.errors[0].item() == (labels != 0).double().mean()  # the first class wins a tie


@pytest.mark.parametrize("classes,loss", [(1, "logistic"), (3, "cross_entropy")])
def test_divergence_ends_the_run_at_its_first_loss_that_is_not_finite(classes, loss):
    network, examples, *_ = start(2, classes=classes, power=3, std=1.0)
    trace = core.descend(network, examples, steps=500, learning_rate=1e20, loss=loss, reduction="sum")
    assert trace.status == "diverged" and 0 < trace.steps < 500
    assert trace.losses[:-1].isfinite().all() and not trace.losses[-1].isfinite()
    again = core.descend(network, examples, steps=5, learning_rate=1e20, loss=loss, reduction="sum")
    assert again.status == "diverged" and again.steps == 0


def test_it_stops_at_the_first_loss_below_with_the_weights_of_that_step():
    network, examples, *_ = start(7)
    whole = core.descend(network, examples, steps=60, **ANY)
    bound = whole.losses[33].item()
    stopped, *_ = start(7)
    trace = core.descend(stopped, examples, steps=60, stop_below=bound, **ANY)
    assert (trace.status, trace.steps) == ("below", 33) and len(trace.losses) == len(trace.errors) == 34
    assert torch.equal(trace.losses, whole.losses[:34])
    exact, *_ = start(7)
    core.descend(exact, examples, steps=33, **ANY)
    assert torch.equal(stopped.weights, exact.weights)


@pytest.mark.parametrize("train_output", [False, True])
def test_cutting_a_run_into_calls_changes_no_bit(train_output):
    more = dict(loss="cross_entropy", reduction="mean", learning_rate=0.3, train_output=train_output)
    whole, examples, *_ = start(4, classes=3, power=2, n=50)
    parts, *_ = start(4, classes=3, power=2, n=50)
    a, b = torch.zeros(2, 9, examples.inputs.shape[1]).unbind()
    trace = core.descend(whole, examples, steps=40, coefficients=a, **more)
    losses = [core.descend(parts, examples, steps=n, coefficients=b, **more).losses for n in (0, 1, 12, 27)]
    assert torch.equal(whole.weights, parts.weights) and torch.equal(whole.output, parts.output)
    assert torch.equal(a, b)
    assert torch.equal(trace.losses, torch.cat([losses[1], losses[2][1:], losses[3][1:]]))


@pytest.mark.parametrize("patches,train_output", [(2, False), (1, True)])
def test_the_weights_are_the_first_ones_plus_coefficients_times_columns(patches, train_output):
    network, examples, w, mask = start(6, neurons=12, d=300, classes=3, n=60, power=2, patches=patches)
    coefficients = torch.zeros(12, examples.inputs.shape[1])
    run = dict(steps=400, learning_rate=0.3, loss="cross_entropy", reduction="mean", train_output=train_output)
    core.descend(network, examples, coefficients=coefficients, **run)
    weights = (w.double() + coefficients.double() @ examples.inputs.double().T) * mask
    assert (dense(network, 300) - weights).norm() < 1e-5 * weights.norm()
    assert (dense(network, 300) - w * mask).norm() > 0.1 * weights.norm()


def test_the_coefficients_follow_the_recursions_of_definition_14():
    classes, m, n, power, rate = 3, 4, 10, 3, 0.2
    network, examples, w, mask = start(8, m * classes, 50, classes, n, power=power, one_hot=True, std=0.3)
    inputs, labels = examples.inputs.double(), examples.labels
    signals, noise = inputs[:, :classes], inputs[:, classes:]
    owner = torch.arange(m * classes) // m
    gamma, zeta, omega = (torch.zeros(m * classes, k, dtype=torch.float64) for k in (classes, n, n))
    norms = mask.double() @ noise**2
    now = (w * mask).double()
    for _ in range(20):
        on_signal, on_noise = (now @ signals).relu(), (now @ noise).relu()
        f = torch.zeros(classes, n, dtype=torch.float64)
        f.index_add_(0, owner, on_signal[:, labels] ** power + on_noise**power)
        slope = (f.softmax(0) - torch.nn.functional.one_hot(labels, classes).T)[owner]  # l'_ji
        push = -rate / n * slope * power
        own = owner[:, None] == labels
        for k in range(classes):
            pushed = (push * on_signal[:, labels] ** (power - 1))[:, labels == k].sum(1)
            gamma[:, k] += pushed * (signals[:, k] ** 2).sum() * mask[:, k]
        zeta += push * on_noise ** (power - 1) * norms * own
        omega += push * on_noise ** (power - 1) * norms * ~own
        now = (w * mask).double()
        now += (gamma @ signals.T) / (signals**2).sum(0).max() * mask
        now += ((zeta + omega) / norms.clamp_min(1e-300)) @ noise.T * mask
    coefficients = torch.zeros(m * classes, classes + n)
    run = dict(steps=20, learning_rate=rate, loss="cross_entropy", reduction="mean")
    core.descend(network, examples, coefficients=coefficients, **run)
    a = coefficients.double()
    close = dict(rtol=1e-4, atol=1e-7)
    assert torch.allclose(a[:, :classes] * (signals**2).sum(0) * mask[:, :classes], gamma, **close)
    assert torch.allclose(a[:, classes:] * norms * own, zeta, **close)
    assert torch.allclose(a[:, classes:] * norms * ~own, omega, **close)
    assert gamma.abs().max() > 1e-2 and zeta.min() >= 0 and omega.max() <= 0


def test_absent_output_connections_stay_absent():
    network, examples, *_ = start(1, neurons=12, classes=3, one_hot=True, power=2)
    absent = network.output == 0
    run = dict(steps=10, learning_rate=0.5, loss="cross_entropy", reduction="mean", train_output=True)
    core.descend(network, examples, **run)
    assert (network.output[absent] == 0).all() and not (network.output[~absent] == 1).any()


def test_preactivations():
    network, examples, w, mask = start(1, classes=2, n=500)
    z = core.preactivations(network, examples.inputs)
    assert torch.allclose(z, (w * mask) @ examples.inputs, atol=1e-6)


def test_padded_inputs_are_used_in_place_and_others_copied_once():
    _, examples, *_ = start()
    assert examples.padded().data_ptr() == examples.padded().data_ptr() != examples.inputs.data_ptr()
    before = examples.padded()
    examples.inputs[0, 0] = 5
    assert examples.padded()[0, 0] == 5 and examples.padded().data_ptr() != before.data_ptr()
    for d in (3, 200_000):
        inputs = core.padded(d, 5)
        assert inputs.shape == (d, 5) and not inputs.any() and inputs.data_ptr() % 64 == 0
        assert core.Examples(inputs, examples.patches, examples.labels).padded() is inputs


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda n, e: n.coordinates.__setitem__(0, 40), "coordinates outside"),
        (lambda n, e: n.coordinates.__setitem__(1, 0), "do not ascend"),
        (lambda n, e: e.patches.__setitem__((0, 0), -1), "patches outside"),
        (lambda n, e: e.labels.__setitem__(0, 0), "label is 0"),
        (lambda n, e: e.labels.__setitem__(0, 2), "labels outside"),
        (lambda n, e: n.pointers.__setitem__(1, 10**6), "pointers do not ascend"),
        (lambda n, e: setattr(n, "weights", n.weights.double()), "weights is not"),
        (lambda n, e: setattr(n, "output", n.output[:, 1:].contiguous()), "output has the wrong shape"),
        (lambda n, e: setattr(n, "power", 0), "power"),
    ],
)
def test_bad_tensors_are_refused(change, message):
    network, examples, *_ = start()
    change(network, examples)
    with pytest.raises(RuntimeError, match=message):
        core.descend(network, examples, steps=1, **ANY)


def test_unknown_names_are_refused():
    network, examples, *_ = start()
    with pytest.raises(ValueError, match="'hinge', not one of cross_entropy, logistic"):
        core.descend(network, examples, steps=1, **ANY | {"loss": "hinge"})
    with pytest.raises(ValueError, match="reduction is 'max'"):
        core.descend(network, examples, steps=1, **ANY | {"reduction": "max"})
