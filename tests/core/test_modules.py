"""The masked layers as modules of other people's networks: values, optimizers, state, and what they refuse."""

import copy
import io

import pytest
import torch
from torch import nn

from winnow import core
from winnow.core.modules import MaskedConv2d, MaskedLinear


def draw(shape, density=0.3, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


def pair(kind="conv", bias=True, density=0.3, seed=0):
    """(a dense layer whose pruned weights are 0, the masked one, the mask, an input)."""
    torch.manual_seed(seed)
    if kind == "linear":
        dense, x = nn.Linear(30, 20, bias=bias), torch.randn(7, 30)
    else:
        dense, x = nn.Conv2d(5, 6, 3, stride=2, padding=1, bias=bias), torch.randn(7, 5, 9, 8)
    mask = draw(dense.weight.shape, density, seed)
    with torch.no_grad():
        dense.weight.mul_(mask)
    return dense, (MaskedLinear if kind == "linear" else MaskedConv2d)(dense, mask), mask, x


KINDS = pytest.mark.parametrize("kind", ["linear", "conv"])


@KINDS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [1, 0.3, 0.05, 0])
def test_values_and_gradients_are_those_of_the_dense_layer(kind, bias, density):
    dense, masked, mask, x = pair(kind, bias, density)
    assert torch.equal(masked.weight, dense.weight)
    x.requires_grad_()
    y, wanted = masked(x), dense(x)
    torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)
    push = torch.randn_like(y)
    found = torch.autograd.grad(y, [x, *masked.parameters()], push)
    to_x, to_weights, *to_bias = torch.autograd.grad(wanted, [x, *dense.parameters()], push)
    for a, b in zip(found, [to_x, to_weights[mask], *to_bias], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@KINDS
def test_what_needs_no_gradient_gets_none(kind):
    _, masked, _, x = pair(kind)
    masked.kept.requires_grad_(False)
    masked(x).sum().backward()
    assert masked.kept.grad is None and masked.bias.grad is not None
    with torch.no_grad():
        assert not masked(x).requires_grad


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 3, 1),
        nn.Conv2d(4, 3, 1, stride=2),
        nn.Conv2d(4, 3, 3, padding=1),
        nn.Conv2d(4, 3, 3, padding="same"),
    ],
    ids=str,
)
def test_all_convolutions_that_are_allowed(layer):
    mask = draw(layer.weight.shape, 0.6)
    masked = MaskedConv2d(layer, mask)
    with torch.no_grad():
        layer.weight.mul_(mask)
    for shape in ((3, 4, 6, 7), (1, 4, 1, 1)):
        x = torch.randn(shape)
        torch.testing.assert_close(masked(x), layer(x), rtol=1e-5, atol=1e-5)
        turned = x.to(memory_format=torch.channels_last)
        assert torch.equal(masked(turned), masked(x))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, (1, 3), padding=(0, 1)),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=1, stride=3),
        nn.Conv2d(4, 4, 3, padding=1, stride=(1, 2)),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
    ids=str,
)
def test_other_convolutions_are_refused(layer):
    with pytest.raises(ValueError, match=r"^MaskedConv2d: Conv2d\(4, 4, .* has no kernel of 3 x 3 or 1 x 1") as caught:
        MaskedConv2d(layer, torch.ones_like(layer.weight, dtype=torch.bool))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("layer", "channels"), [(nn.Conv2d(1, 4, 3, padding=1), 9), (nn.Conv2d(9, 4, 1), 1)], ids=str)
def test_images_of_other_channels_are_refused(layer, channels, library):
    """A kernel of 3 x 3 of one channel was taken for one of 1 x 1 of nine, and the other way round."""
    masked = MaskedConv2d(layer, torch.ones_like(layer.weight, dtype=torch.bool))
    with pytest.raises(ValueError, match=rf"x is \[2, {channels}, 5, 5\]; it must be \[n, {layer.in_channels},"):
        masked(torch.zeros(2, channels, 5, 5))


@KINDS
def test_a_mask_of_another_kind_is_refused(kind):
    dense, masked, mask, _ = pair(kind)
    for wrong in (mask.float(), mask[1:], mask.flatten()):
        with pytest.raises(ValueError, match=rf"the mask is .*; it must be torch.bool \[{len(mask)}, ") as caught:
            type(masked)(dense, wrong)
        assert "\n" not in str(caught.value)


OPTIMIZERS = [
    lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01),
    lambda p: torch.optim.Adam(p, 0.01),
    lambda p: torch.optim.AdamW(p, 0.01),
    lambda p: torch.optim.RMSprop(p, 0.01),
]


def network(masks=None):
    """A small network of somebody else; its masked layers are dense ones with zeros without `masks`."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10)]
    places = {0: MaskedConv2d, 2: MaskedConv2d, 6: MaskedLinear}
    with torch.no_grad():
        for i, mask in drawn_masks().items():
            layers[i].weight.mul_(mask)
            layers[i] = places[i](layers[i], mask) if masks else layers[i]
    return nn.Sequential(*layers)


def drawn_masks():
    return {i: draw(shape, 0.4, i) for i, shape in {0: (6, 1, 3, 3), 2: (8, 6, 3, 3), 6: (10, 128)}.items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_optimizer_trains_a_network_as_it_trains_the_dense_one_with_its_mask(optimizer):
    ours, theirs, masks = network(masks=True), network(), drawn_masks()
    steps = [(net, optimizer(net.parameters())) for net in (ours, theirs)]
    losses = []
    for step in range(15):
        x, labels = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(step)), torch.arange(40) % 10
        for net, opt in steps:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), labels)
            loss.backward()
            if net is theirs:
                for i, mask in masks.items():
                    net[i].weight.grad.mul_(mask)
            opt.step()
            losses.append(loss.item())
    assert losses[0::2] == pytest.approx(losses[1::2], rel=1e-2)
    for i, mask in masks.items():
        assert not ours[i].weight[~mask].any()
        torch.testing.assert_close(ours[i].weight, theirs[i].weight, rtol=1e-2, atol=3e-3)


@KINDS
def test_a_state_leads_back_into_a_layer_of_its_mask(kind):
    dense, masked, mask, x = pair(kind)
    file = io.BytesIO()
    torch.save(masked.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert set(state) == {"kept", "bias", "pointers", "coordinates"}
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.zero_()
    other = type(masked)(dense, mask)
    other.load_state_dict(state)
    assert torch.equal(other(x), masked(x))
    assert torch.equal(copy.deepcopy(masked)(x), masked(x)) and copy.deepcopy(masked).pattern is masked.pattern


@KINDS
def test_a_state_of_another_mask_is_refused(kind):
    dense, masked, mask, x = pair(kind)
    rolled = mask.flatten().roll(1).view(mask.shape)  # as many weights
    net = nn.Sequential(type(masked)(dense, rolled))
    before = net(x)
    of_another = "0.kept: these are weights of another mask; load them into a layer of the mask that they are of"
    cases = [(masked.state_dict(), of_another)]
    cases.append(({k: v for k, v in masked.state_dict().items() if k in ("kept", "bias")}, "without their pattern"))
    cases.append((type(masked)(dense, draw(mask.shape, 0.5, 9)).state_dict(), "weights of another mask"))
    for state, message in cases:
        for strict in (True, False):
            with pytest.raises(RuntimeError, match=message):
                net.load_state_dict({f"0.{name}": value for name, value in state.items()}, strict=strict)
    assert torch.equal(net(x), before)
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({})
    assert net.load_state_dict({}, strict=False).missing_keys == ["0.kept", "0.bias", "0.pointers", "0.coordinates"]


@KINDS
def test_other_types_are_refused_in_one_line(kind):
    _, masked, _, x = pair(kind)
    allowed = "input or weights are torch.{}; on a CPU both must be torch.float32"
    for given, layer, name in (
        (x.double(), masked, "float64"),
        (x.bfloat16(), masked, "bfloat16"),
        (x.double(), copy.deepcopy(masked).double(), "float64"),
        (x, copy.deepcopy(masked).bfloat16(), "bfloat16"),
    ):
        with pytest.raises(TypeError, match=allowed.format(name)) as caught:
            layer(given)
        assert "\n" not in str(caught.value)


@KINDS
def test_autocast_gives_it_float32_as_torch_does_for_its_float32_operators(kind):
    _, masked, _, x = pair(kind)
    x = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = masked(x)
    assert y.dtype == torch.float32 and torch.equal(y, masked(x.detach().float()))
    y.sum().backward()
    assert x.grad.dtype == torch.bfloat16 and masked.kept.grad.dtype == torch.float32


@KINDS
def test_another_width_is_refused_in_one_line(kind):
    _, masked, _, x = pair(kind)
    wrong = (x[:, 1:], x[0, 0, 0], x[:, :, 0]) if kind == "conv" else (x[:, 1:], x[0, 0])
    for given in wrong:
        with pytest.raises(ValueError, match=rf"^masked_\w+: x is \[{', '.join(map(str, given.shape))}\]; ") as caught:
            masked(given)
        assert "\n" not in str(caught.value)


def test_a_batch_without_images_is_refused_in_one_line():
    with pytest.raises(RuntimeError, match="winnow: planes holds no images"):
        pair()[1](torch.empty(0, 5, 9, 8))


def test_repr_tells_what_the_layer_is():
    assert repr(pair("linear", bias=False)[1]) == "MaskedLinear(30, 20, bias=False, kept=188, density=0.313)"
    told = "MaskedConv2d(5, 6, bias=True, kept=90, density=0.333, kernel_size=(3, 3), stride=(2, 2))"
    assert repr(pair("conv")[1]) == told


def test_what_a_gpu_compiles_is_the_same_convolution():
    dense, masked, _, x = pair()
    flat = masked.pattern.flat(x.device)
    y = core.convolution._dense(x, masked.kept, flat, masked.pattern.shape, 2, masked.bias)
    torch.testing.assert_close(y, dense(x), rtol=1e-5, atol=1e-5)
