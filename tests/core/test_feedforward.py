"""Networks on the core against plain torch with autograd in float64, and their bits."""

import hashlib

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from winnow import core
from winnow.core import linear as products
from winnow.core.feedforward import Feedforward, Flatten, Linear

SIZES = (30, 70, 21, 10)


def network(densities=(0.5, 0.1, 1.0), seed=0):
    """A fully connected network, and its dense float64 weights, masks and biases."""
    generator = torch.Generator().manual_seed(seed)
    layers, weights, masks, biases = [], [], [], []
    for inputs, outputs, density in zip(SIZES[:-1], SIZES[1:], densities, strict=True):
        masks.append(torch.rand(outputs, inputs, generator=generator) < density)
        dense = torch.randn(outputs, inputs, generator=generator) * (2 / max(density, 0.1) / inputs) ** 0.5
        biases.append(torch.randn(outputs, generator=generator) * 0.1)
        layers.append(Linear(dense[masks[-1]], biases[-1].clone(), core.Pattern.of(masks[-1]), outputs != SIZES[-1]))
        weights.append((dense * masks[-1]).double())
    return Feedforward([Flatten(), *layers]), weights, masks, [bias.double() for bias in biases]


def batch(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, SIZES[0], generator=generator), torch.randint(0, 10, (n,), generator=generator)


def logits_of(x, weights, masks, biases):
    for i, (w, mask, bias) in enumerate(zip(weights, masks, biases, strict=True)):
        x = linear(x.relu() if i else x, w * mask, bias)
    return x


def reference(x, labels, weights, masks, biases):
    """(loss, gradients of the kept weights and of the biases by layers) of the dense masked network in float64."""
    parameters = [t.requires_grad_() for pair in zip(weights, biases, strict=True) for t in pair]
    loss = cross_entropy(logits_of(x.double(), weights, masks, biases), labels)
    gradients = torch.autograd.grad(loss, parameters)
    kept = [g[masks[i // 2]] if i % 2 == 0 else g for i, g in enumerate(gradients)]
    return loss.item(), kept


@pytest.mark.parametrize("n", [1, 16, 33, 128, 300])
@pytest.mark.parametrize("densities", [(0.5, 0.1, 1.0), (1.0, 1.0, 1.0), (0.02, 0.9, 0.5), (0.3, 0.0, 0.4)])
def test_loss_and_gradients_are_those_of_autograd(densities, n):
    ours, *dense = network(densities)
    x, labels = batch(n)
    loss, gradients = ours.gradients(x, labels)
    expected_loss, expected = reference(x, labels, *dense)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for a, b in zip(gradients, expected, strict=True):
        assert a.shape == b.shape and (a - b).norm() <= 1e-5 * b.norm() + 1e-7


def test_evaluation_is_the_mean_over_all_examples():
    ours, weights, masks, biases = network()
    x, labels = batch(301)
    loss, error = ours.evaluate(x, labels)
    logits = logits_of(x.double(), weights, masks, biases)
    assert loss == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
    assert error == (logits.argmax(1) != labels).double().mean().item()


def test_of_equal_logits_the_first_one_wins():
    ours, *_ = network()
    for parameter in ours.parameters:
        parameter.zero_()
    x, labels = batch(200)
    assert ours.evaluate(x, labels)[1] == (labels != 0).double().mean().item()


@pytest.mark.parametrize("momentum,decay", [(0.0, 0.0), (0.0, 0.01), (0.9, 0.0), (0.9, 0.01)])
def test_descent_is_that_of_torch(momentum, decay):
    ours, weights, masks, biases = network()
    parameters = [t.requires_grad_() for pair in zip(weights, biases, strict=True) for t in pair]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=momentum, weight_decay=decay)
    velocities = [torch.zeros_like(p) for p in ours.parameters if momentum]
    for step in range(12):
        x, labels = batch(40, seed=step)
        loss = cross_entropy(logits_of(x.double(), weights, masks, biases), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert ours.step(x, labels, 0.05, momentum, decay, velocities) == pytest.approx(loss.item(), rel=1e-4)
    for i, parameter in enumerate(ours.parameters):
        expected = parameters[i][masks[i // 2]] if i % 2 == 0 else parameters[i]
        torch.testing.assert_close(parameter.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_run_that_diverges_says_so():
    ours, *_ = network()
    x, labels = batch(40)
    losses = [ours.step(x, labels, 1e30, 0.0, 0.0, []) for _ in range(4)]
    assert losses[0] < 100 and not any(abs(loss) < float("inf") for loss in losses[2:])


def digest(densities, n):
    """A hash of a short run: losses, weights, velocities, evaluation."""
    ours, *_ = network(densities)
    velocities = [torch.zeros_like(p) for p in ours.parameters]
    losses = [ours.step(*batch(n, step), 0.05, 0.9, 0.001, velocities) for step in range(8)]
    numbers = torch.tensor([*losses, *ours.evaluate(*batch(301))], dtype=torch.float64)
    parts = [numbers, *ours.parameters, *velocities]
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in parts)).hexdigest()


@pytest.mark.parametrize("densities", [(0.5, 0.1, 1.0), (1.0, 1.0, 1.0), (0.9, 0.03, 0.6)])
@pytest.mark.parametrize("n", [1, 33, 128, 240])
def test_instruction_sets_and_the_crossover_change_no_bit(monkeypatch, densities, n):
    runs = {}
    for isa in ("v4", "v3", "plain"):
        monkeypatch.setenv("WINNOW_ISA", isa)
        try:
            core.isa()
        except RuntimeError:
            continue  # this processor does not have it
        for crossover in (-1.0, 0.5, 2.0):
            monkeypatch.setattr(products, "dense_pays", lambda density, crossover=crossover: density > crossover)
            runs[isa, crossover] = digest(densities, n)
    assert len(runs) >= 3 and len(set(runs.values())) == 1


def test_labels_that_are_no_class_are_refused():
    ours, *_ = network()
    x, labels = batch(40)
    with pytest.raises(RuntimeError, match=r"labels outside \[0, 10\)"):
        ours.gradients(x, labels + 1)
