"""What lies between convolutions, against plain torch in float64, and its bits."""

import hashlib

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, batch_norm, max_pool2d

from winnow import core
from winnow.core import linear
from winnow.core.convolution import Planes

SHAPES = [(128, 3, 32, 32), (1, 2, 5, 4), (7, 4, 8, 8), (33, 5, 3, 7), (16, 2, 1, 2), (40, 6, 2, 2), (20, 3, 1, 1)]
EPSILON = 1e-5


def draw(*shape, seed=0, mean=0.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + mean


def dirty(planes):
    """Room for a result that is not zeros yet, so that a border that nobody writes shows."""
    return planes.view(torch.full((planes.size,), 7.0))


def assert_closed(planes, x):
    """All that is around the images, and the lanes behind the last one, are zeros."""
    inner = planes.of(planes.batch_major(x))
    assert torch.equal(memory(planes, x), memory(planes, inner))


def memory(planes, x):
    """All that a convolution may read."""
    return torch.as_strided(x, (planes.channels * planes.strides[0] + planes.strides[2],), (1,), 0)


def close_to(ours, expected, tolerance=2e-6):
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() <= tolerance * expected.abs().max() + 1e-12


class Ours:
    """A batch norm of z with what follows it, forward and backward."""

    def __init__(self, shape, other, rectify, mean=0.3):
        batch, channels, height, width = shape
        self.planes = planes = Planes(channels, batch, height, width)
        self.z, self.slope = draw(*shape, mean=mean), draw(*shape, seed=1)
        self.other = draw(*shape, seed=2) if other else None
        self.gain, self.bias = draw(channels, seed=3, mean=1.0), draw(channels, seed=4)
        self.running = draw(channels, seed=5), draw(channels, seed=6).abs()
        self.rectify = rectify

    def forward(self, momentum):
        self.planed = self.planes.of(self.z)
        other = None if self.other is None else self.planes.of(self.other)
        self.used = torch.empty_like(self.gain), torch.empty_like(self.gain)
        self.moved = tuple(t.clone() for t in self.running)
        self.y = dirty(self.planes)
        torch.ops.winnow.normalize(
            self.planed, self.planes.batch, self.gain, self.bias, *self.moved, EPSILON, momentum, other, self.rectify,
            *self.used, self.y,
        )  # fmt: skip
        return self.planes.batch_major(self.y)

    def backward(self):
        g, to_gain, to_bias = self.planes.of(self.slope), torch.empty_like(self.gain), torch.empty_like(self.bias)
        y = None if self.other is None else self.y
        torch.ops.winnow.unnormalize(
            self.planed, self.planes.batch, self.gain, self.bias, *self.used, y, self.rectify, g, to_gain, to_bias
        )
        self.g = g
        return self.planes.batch_major(self.planed), to_gain, to_bias

    def expected(self, momentum):
        """(y, running statistics, gradients of z, gain and bias, slopes of what was added) by autograd."""
        running = tuple(t.double() for t in self.running)
        z, gain, bias, other = (
            None if t is None else t.double().requires_grad_() for t in (self.z, self.gain, self.bias, self.other)
        )
        y = batch_norm(z, *running, gain, bias, momentum is not None, momentum or 0.0, EPSILON)
        y = y if other is None else y + other
        y = y.relu() if self.rectify else y
        wanted = [t for t in (z, gain, bias, other) if t is not None]
        return y.detach(), running, torch.autograd.grad(y, wanted, self.slope.double())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("rectify", [False, True])
def test_batch_norm_is_that_of_autograd(shape, other, rectify):
    ours = Ours(shape, other, rectify)
    y, running, (to_z, to_gain, to_bias, *to_other) = ours.expected(0.1)
    close_to(ours.forward(0.1), y)
    for moved, wanted in zip(ours.moved, running, strict=True):
        close_to(moved, wanted)
    assert_closed(ours.planes, ours.y)
    for found, wanted in zip(ours.backward(), (to_z, to_gain, to_bias), strict=True):
        close_to(found, wanted, 1e-5)
    assert_closed(ours.planes, ours.planed)
    if other:
        assert torch.equal(ours.planes.batch_major(ours.g).double(), to_other[0])
        if rectify:
            assert_closed(ours.planes, ours.g)


def test_batch_norm_evaluates_with_its_running_statistics():
    ours = Ours((33, 5, 3, 7), True, True)
    close_to(ours.forward(None), ours.expected(None)[0])
    assert all(map(torch.equal, ours.moved, ours.running))


def test_a_mean_far_from_zero_costs_the_variance_nothing():
    ours = Ours((128, 3, 8, 8), False, False, mean=1000.0)
    ours.forward(1.0)
    close_to(ours.moved[1], ours.z.double().var((0, 2, 3)), 1e-5)


def test_one_number_has_no_variance():
    with pytest.raises(RuntimeError, match="one number has no variance"):
        Ours((1, 2, 1, 1), False, False).forward(0.1)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if min(shape[2:]) > 1])
def test_pooling_is_that_of_torch_and_the_first_of_equals_wins(shape):
    batch, channels, height, width = shape
    planes, smaller = Planes(channels, batch, height, width), Planes(channels, batch, height // 2, width // 2)
    values = draw(*shape).mul(2).round().relu()  # many equals
    x, y, to_x = planes.of(values), dirty(smaller), dirty(planes)
    slope = draw(batch, channels, height // 2, width // 2, seed=1)
    torch.ops.winnow.pool(x, batch, y)
    torch.ops.winnow.unpool(x, batch, y, smaller.of(slope), to_x)
    values.requires_grad_()
    expected = max_pool2d(values, 2)
    assert torch.equal(smaller.batch_major(y), expected)
    assert torch.equal(planes.batch_major(to_x), torch.autograd.grad(expected, values, slope)[0])
    assert_closed(smaller, y)
    assert_closed(planes, to_x)


@pytest.mark.parametrize("shape", SHAPES)
def test_averages_and_sums_are_those_of_torch(shape):
    batch, channels, height, width = shape
    planes = Planes(channels, batch, height, width)
    x, to_x, y, slope = draw(*shape), dirty(planes), linear.room(channels, batch), draw(batch, channels, seed=1)
    torch.ops.winnow.average(planes.of(x), batch, y)
    close_to(y.T.contiguous(), adaptive_avg_pool2d(x.double(), 1).flatten(1))
    torch.ops.winnow.unaverage(linear.coordinate_major(slope), to_x)
    close_to(planes.batch_major(to_x), (slope.double() / (height * width))[:, :, None, None].expand(shape))
    assert_closed(planes, to_x)
    more = draw(*shape, seed=2)
    to = planes.of(x)
    torch.ops.winnow.add_planes(planes.of(more), batch, to)
    assert torch.equal(planes.batch_major(to), x + more)


def digest(shape, other, rectify):
    ours = Ours(shape, other, rectify)
    parts = [ours.forward(0.1), *ours.moved, *ours.backward(), *ours.used, ours.planes.batch_major(ours.g)]
    planes = ours.planes
    y = linear.room(planes.channels, planes.batch)
    torch.ops.winnow.average(planes.of(ours.z), planes.batch, y)
    if min(planes.height, planes.width) > 1:
        smaller = Planes(planes.channels, planes.batch, planes.height // 2, planes.width // 2)
        pooled, to_x = smaller.empty(), planes.empty()
        torch.ops.winnow.pool(ours.y, planes.batch, pooled)
        torch.ops.winnow.unpool(ours.y, planes.batch, pooled, pooled, to_x)
        parts += [smaller.batch_major(pooled), planes.batch_major(to_x)]
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in [*parts, y])).hexdigest()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other,rectify", [(False, True), (True, True), (False, False)])
def test_instruction_sets_change_no_bit(monkeypatch, shape, other, rectify):
    found = {}
    for isa in ("v4", "v3", "plain"):
        monkeypatch.setenv("WINNOW_ISA", isa)
        try:
            core.isa()
        except RuntimeError:
            continue  # this processor does not have it
        found[isa] = digest(shape, other, rectify)
    assert len(found) >= 2 and len(set(found.values())) == 1


def test_what_is_not_in_planes_is_refused():
    planes = Planes(2, 20, 4, 4)
    x = planes.of(draw(20, 2, 4, 4))
    for wrong, said in (
        (planes.batch_major(x), "x is not a float32 CPU tensor"),
        (x.contiguous(), "x does not lie in memory as Planes do"),
        (Planes(2, 40, 4, 4).empty(), "x has 3 chunks of images, which are not 20"),
    ):
        with pytest.raises(RuntimeError, match=said):
            torch.ops.winnow.pool(wrong, 20, Planes(2, 20, 2, 2).empty())
    with pytest.raises(RuntimeError, match="y has 2 chunks of 4 x 4 places, not 2 of 2 x 2"):
        torch.ops.winnow.pool(x, 20, planes.empty())
