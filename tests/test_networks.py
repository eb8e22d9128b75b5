import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from winnow import networks, scores
from winnow.settings import ImageNetwork

pytestmark = pytest.mark.usefixtures("library")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("fraction", [0, 0.2, 0.7, 0.99])
def test_a_compressed_network_is_the_masked_dense_one(fraction):
    dense = networks.build(ImageNetwork(hidden=[20, 15]), (1, 5, 5), 10, rng())
    masks = scores.bernoulli(networks.prunable(dense), fraction, rng(1))
    small = copy.deepcopy(dense)
    networks.apply_masks(dense, masks)
    networks.compress(small, masks)
    inputs, labels = torch.randn(33, 1, 5, 5), torch.arange(33) % 10
    torch.testing.assert_close(small(inputs), dense(inputs), rtol=1e-5, atol=1e-6)
    weights = networks.prunable(dense)
    gradients = torch.autograd.grad(cross_entropy(dense(inputs), labels), list(weights.values()))
    parameters = dict(small.named_parameters())
    if fraction:
        ours = torch.autograd.grad(cross_entropy(small(inputs), labels), [parameters[f"{i}.kept"] for i in (1, 3, 5)])
        for (name, mask), gradient, mine in zip(masks.items(), gradients, ours, strict=True):
            torch.testing.assert_close(mine, gradient[mask], rtol=1e-4, atol=1e-6)
            assert torch.equal(networks.prunable(small)[name], weights[name])
    else:
        assert not any(isinstance(module, networks.MaskedLinear) for module in small.modules())
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert sum(parameter.numel() for parameter in small.parameters()) == kept + 45


def test_layers_without_weights_pass_their_bias_on():
    network = networks.build(ImageNetwork(hidden=[4]), (1, 2, 2), 3, rng())
    with torch.no_grad():
        network[3].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    networks.compress(network, {"3.weight": torch.zeros(3, 4, dtype=torch.bool)})
    assert torch.equal(network(torch.randn(2, 1, 2, 2)), torch.tensor([[1.0, 2, 3]] * 2))


def test_the_output_layer_is_left_alone_if_asked():
    network = networks.build(ImageNetwork(hidden=[4]), (1, 2, 2), 3, rng())
    networks.compress(network, scores.bernoulli(networks.prunable(network, output=False), 0.5, rng()))
    assert isinstance(network[1], networks.MaskedLinear)
    assert isinstance(network[3], nn.Linear)
    assert list(networks.prunable(network)) == ["1.weight", "3.weight"]
