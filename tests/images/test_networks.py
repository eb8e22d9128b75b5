import copy
import itertools
import re
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from winnow.errors import WinnowError
from winnow.images import networks, pruning
from winnow.images.settings import ImageNetwork
from winnow.randomness import Stream

pytestmark = pytest.mark.usefixtures("library")


def rng(seed=0):
    return Stream(seed)


def test_every_allowed_architecture_is_there():
    assert set(get_args(ImageNetwork.model_fields["architecture"].annotation)) == set(networks.ARCHITECTURES)


@pytest.mark.parametrize("fraction", [0, 0.2, 0.7, 0.99])
def test_a_compressed_network_is_the_masked_dense_one(fraction):
    dense = networks.build(ImageNetwork(hidden=[20, 15]), (1, 5, 5), 10, rng())
    masks = pruning.bernoulli(networks.prunable(dense), fraction, rng(1))
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
    networks.compress(network, pruning.bernoulli(networks.prunable(network, output=False), 0.5, rng()))
    assert isinstance(network[1], networks.MaskedLinear)
    assert isinstance(network[3], nn.Linear)
    assert list(networks.prunable(network)) == ["1.weight", "3.weight"]


VGG = ImageNetwork(architecture="vgg", depth=11, width=4)
RESNET = ImageNetwork(architecture="resnet", depth=8, width=4)
OTHERS = sorted(set(networks.ARCHITECTURES) - {"vgg", "resnet"})


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_convolutional_networks_have_the_published_sizes():
    """VGG-16: 14.7 M and ResNet-20: 0.27 M parameters (He et al. 2016, table 6), in detail by the sum over layers."""
    vgg = networks.build(ImageNetwork(architecture="vgg"), (3, 32, 32), 10, rng())
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    convolutions = sum(9 * a * b for a, b in itertools.pairwise(widths))
    assert count(vgg) == convolutions + 2 * sum(widths[1:]) + 512 * 10 + 10 == 14_724_042
    assert sum(w.numel() for w in networks.prunable(vgg).values()) == convolutions + 5120
    resnet = ImageNetwork(architecture="resnet", depth=20, width=16)
    assert count(networks.build(resnet, (3, 32, 32), 10, rng())) == 272_474
    wide = networks.build(resnet.model_copy(update={"width": 128}), (3, 32, 32), 10, rng())
    assert count(wide) == 17_289_866
    assert len(networks.prunable(wide)) == 19 + 2 + 1  # convolutions, shortcuts, linear layer


@pytest.mark.parametrize("model", [VGG, RESNET, VGG.model_copy(update={"depth": 19})])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 9, 13), (1, 2, 2)])
def test_convolutional_networks_take_images_of_any_size(model, shape):
    assert networks.build(model, shape, 7, rng())(torch.randn(5, *shape)).shape == (5, 7)


def test_vgg_pools_while_four_pixels_are_left():
    for side, poolings in ((32, 4), (16, 3), (8, 2), (4, 1), (3, 0)):
        network = networks.build(VGG, (1, side, side), 10, rng())
        assert sum(isinstance(module, nn.MaxPool2d) for module in network) == poolings


def test_batch_norm_and_biases_are_never_pruned_and_start_as_the_identity():
    for model in (VGG, RESNET):
        network = networks.build(model, (1, 8, 8), 10, rng())
        weights = networks.prunable(network)
        assert {w.ndim for w in weights.values()} == {2, 4}
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert bool((module.weight == 1).all()) and not module.bias.any()
        deep = weights["3.0.weight"] if model is VGG else weights["3.body.0.0.weight"]
        assert deep.std().item() == pytest.approx((2 / deep[0].numel()) ** 0.5, rel=0.1)


@pytest.mark.parametrize("model", [VGG, RESNET])
@pytest.mark.parametrize("kind", ["compressed", "dense"])
def test_a_masked_convolution_keeps_its_zeros_and_has_the_gradients_of_the_rest(model, kind):
    """Compressed on a CPU, or dense with zeros as on a GPU."""
    dense = networks.build(model, (1, 8, 8), 10, rng())
    masks = pruning.bernoulli(networks.prunable(dense), 0.6, rng(1))
    masked = copy.deepcopy(dense)
    networks.apply_masks(dense, masks)
    if kind == "compressed":
        networks.compress(masked, masks)
    else:
        for name, mask in masks.items():
            networks.hold_at_zero(masked.get_parameter(name), mask)
    inputs, labels = torch.randn(20, 1, 8, 8), torch.arange(20) % 10
    torch.testing.assert_close(masked(inputs), dense(inputs), rtol=1e-5, atol=1e-5)
    loss, reference = (cross_entropy(network(inputs), labels) for network in (masked, dense))
    for name, mask in masks.items():
        wanted = torch.autograd.grad(reference, dense.get_parameter(name), retain_graph=True)[0]
        assert wanted[~mask].any()
        ours = masked.get_parameter(name if kind == "dense" else name.replace("weight", "kept"))
        found = torch.autograd.grad(loss, ours, retain_graph=True)[0]
        wanted = wanted * mask if kind == "dense" else wanted[mask]
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
        assert torch.equal(networks.prunable(masked)[name], networks.prunable(dense)[name])


@pytest.mark.parametrize("fraction", [0, 0.6])
@pytest.mark.parametrize(
    ("model", "shape", "n"),
    [
        *[(VGG, (3, 32, 32), 40), (VGG, (1, 9, 13), 23), (RESNET, (3, 32, 32), 40), (RESNET, (2, 9, 13), 23)],
        *((VGG.model_copy(update={"architecture": name, "depth": 8}), (1, 8, 8), 23) for name in OTHERS),
    ],
)
def test_a_step_on_the_core_is_that_of_autograd_in_double_precision(model, shape, n, fraction):
    """The loss, every gradient, and what batch norm takes note of."""
    network = networks.build(model, shape, 10, rng())
    masks = pruning.bernoulli(networks.prunable(network), fraction, rng(1))
    exact = copy.deepcopy(network).double()
    networks.apply_masks(exact, masks)
    networks.compress(network, masks)
    inputs = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % 10
    loss, gradients = networks.on_core(network).gradients(inputs, labels)
    reference = cross_entropy(exact(inputs.double()), labels)
    assert loss == pytest.approx(reference.item(), rel=1e-6)
    names = [name for name, _ in network.named_parameters()]
    for name, gradient in zip(names, gradients, strict=True):
        weight = name.replace("kept", "weight")
        wanted = torch.autograd.grad(reference, exact.get_parameter(weight), retain_graph=True)[0]
        wanted = wanted[masks[weight]] if name.endswith("kept") else wanted.flatten()
        assert (gradient.flatten() - wanted).norm() <= 1e-5 * wanted.norm()
    for name, tensor in exact.named_buffers():
        torch.testing.assert_close(network.get_buffer(name).double(), tensor.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [VGG, RESNET])
def test_evaluation_on_the_core_is_that_of_torch(model):
    network = networks.build(model, (1, 8, 8), 10, rng())
    inputs, labels = torch.randn(301, 1, 8, 8), torch.arange(301) % 10
    network(3 * inputs + 1)
    exact = copy.deepcopy(network).double().eval()
    logits = exact(inputs.double())
    loss, error = networks.on_core(network).evaluate(inputs, labels)
    assert loss == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
    assert error == (logits.argmax(1) != labels).double().mean().item()


def conv(**changes):
    return nn.Conv2d(1, 4, **{"kernel_size": 3, "padding": 1, "bias": False} | changes)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([conv(), nn.ReLU()], "ReLU() after Convolution"),
        ([conv(bias=True), nn.BatchNorm2d(4), nn.ReLU()], "Conv2d("),
        ([conv(padding=0), nn.BatchNorm2d(4), nn.ReLU()], "Conv2d("),
        ([conv(), nn.BatchNorm2d(4, momentum=0.5), nn.ReLU()], "BatchNorm2d("),
        ([conv(), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2)], "MaxPool2d(kernel_size=3"),
        ([conv(), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2)], "MaxPool2d(kernel_size=2"),
        ([conv(), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.ReLU()], "MaxPool2d(kernel_size=2"),
        ([conv(), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.ReLU()], "ReLU() after Average"),
        ([conv(), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2)], "AdaptiveAvgPool2d("),
        ([conv(), nn.BatchNorm2d(4), nn.Dropout()], "Dropout("),
        ([conv(), nn.BatchNorm2d(4), nn.Flatten()], "Flatten("),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_part_that_the_core_computes_otherwise_is_one_line(parts, told):
    """It would train another network than torch's, with the same weights."""
    network = nn.Sequential(*parts, *networks._head(4, 10))
    with pytest.raises(WinnowError, match=rf"^model\.architecture: the core has no {re.escape(told)}"):
        networks.on_core(network)
