"""The core against the dense reference."""

import pytest
import torch
from conftest import compressed, dense, problem

from winnow import core
from winnow.core import reference


@pytest.mark.parametrize("classes,loss", [(1, "logistic"), (2, "cross_entropy"), (5, "cross_entropy")])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("train_output", [False, True])
def test_agrees_with_the_reference(classes, loss, power, train_output):
    mask, w, output, inputs, patches, labels = problem(1, 13, 70, classes, 41, power=power)
    network = compressed(mask, w, output, power)
    run = dict(steps=50, learning_rate=0.3, loss=loss, reduction="mean", train_output=train_output)
    trace = core.descend(network, core.Examples(inputs, patches, labels), **run)
    arguments = [t.double() if t.is_floating_point() else t for t in (w, mask, output)]
    losses, weights, out = reference.descend(*arguments, power, inputs.double(), patches, labels, **run)
    assert torch.allclose(trace.losses, torch.tensor(losses).double(), rtol=1e-5)
    assert (dense(network, 70) - weights * mask).norm() < 1e-5 * (weights * mask).norm()
    assert (network.output - out).norm() < 1e-5 * out.norm()
