"""What lies between convolutions, against plain torch in float64, and its bits."""

import hashlib
import types

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

    def __init__(self, shape, after, mean=0.3):
        batch, channels, height, width = shape
        self.rectify, self.pooled = "relu" in after, "pool" in after
        self.planes = self.result = Planes(channels, batch, height, width)
        if self.pooled:
            self.result = Planes(channels, batch, height // 2, width // 2)
        self.z = draw(*shape, mean=mean)
        if self.pooled:
            self.z = self.z.mul(2).round()  # many equals
        self.slope = draw(batch, channels, self.result.height, self.result.width, seed=1)
        self.other = draw(*shape, seed=2) if "other" in after else None
        self.gain, self.bias = draw(channels, seed=3, mean=1.0), draw(channels, seed=4)
        self.running = draw(channels, seed=5), draw(channels, seed=6).abs()

    def forward(self, momentum):
        self.planed = self.planes.of(self.z)
        other = None if self.other is None else self.planes.of(self.other)
        self.used = torch.empty_like(self.gain), torch.empty_like(self.gain)
        self.moved = tuple(t.clone() for t in self.running)
        self.y = dirty(self.result)
        torch.ops.winnow.normalize(
            self.planed, self.planes.batch, self.gain, self.bias, *self.moved, EPSILON, momentum, other, self.rectify,
            self.pooled, *self.used, self.y,
        )  # fmt: skip
        return self.result.batch_major(self.y)

    def backward(self):
        self.g, to_gain, to_bias = self.result.of(self.slope), torch.empty_like(self.gain), torch.empty_like(self.bias)
        y, after = None if self.other is None else self.y, (self.rectify, self.pooled)
        torch.ops.winnow.unnormalize(
            self.planed, self.planes.batch, self.gain, self.bias, *self.used, y, *after, self.g, to_gain, to_bias
        )
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
        y = max_pool2d(y, 2) if self.pooled else y
        wanted = [t for t in (z, gain, bias, other) if t is not None]
        return y.detach(), running, torch.autograd.grad(y, wanted, self.slope.double())


AFTER = ["nothing", "relu", "other", "other relu", "relu pool"]
CASES = [(shape, after) for shape in SHAPES for after in AFTER if "pool" not in after or min(shape[2:]) > 1]


@pytest.mark.parametrize(("shape", "after"), CASES)
def test_batch_norm_is_that_of_autograd(shape, after):
    ours = Ours(shape, after)
    y, running, (to_z, to_gain, to_bias, *to_other) = ours.expected(0.1)
    close_to(ours.forward(0.1), y)
    for moved, wanted in zip(ours.moved, running, strict=True):
        close_to(moved, wanted)
    assert_closed(ours.result, ours.y)
    for found, wanted in zip(ours.backward(), (to_z, to_gain, to_bias), strict=True):
        close_to(found, wanted, 1e-5)
    assert_closed(ours.planes, ours.planed)
    if to_other:
        assert torch.equal(ours.planes.batch_major(ours.g).double(), to_other[0])
        assert_closed(ours.planes, ours.g)


@pytest.mark.parametrize("after", AFTER)
def test_batch_norm_evaluates_with_its_running_statistics(after):
    ours = Ours((33, 5, 3, 7), after)
    close_to(ours.forward(None), ours.expected(None)[0])
    assert all(map(torch.equal, ours.moved, ours.running))


def test_a_mean_far_from_zero_costs_the_variance_nothing():
    ours = Ours((128, 3, 8, 8), "nothing", mean=1000.0)
    ours.forward(1.0)
    close_to(ours.moved[1], ours.z.double().var((0, 2, 3)), 1e-5)


def test_one_number_has_no_variance():
    with pytest.raises(RuntimeError, match="one number has no variance"):
        Ours((1, 2, 1, 1), "relu").forward(0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_averages_are_those_of_torch(shape):
    batch, channels, height, width = shape
    planes = Planes(channels, batch, height, width)
    x, to_x, y, slope = draw(*shape), dirty(planes), linear.room(channels, batch), draw(batch, channels, seed=1)
    torch.ops.winnow.average(planes.of(x), batch, y)
    close_to(y.T.contiguous(), adaptive_avg_pool2d(x.double(), 1).flatten(1))
    torch.ops.winnow.unaverage(linear.coordinate_major(slope), to_x)
    close_to(planes.batch_major(to_x), (slope.double() / (height * width))[:, :, None, None].expand(shape))
    assert_closed(planes, to_x)


def digest(shape, after):
    ours = Ours(shape, after)
    parts = [ours.forward(0.1), *ours.moved, *ours.backward(), *ours.used, ours.result.batch_major(ours.g)]
    average = linear.room(shape[1], shape[0])
    torch.ops.winnow.average(ours.planes.of(ours.z), shape[0], average)
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in [*parts, average])).hexdigest()


@pytest.mark.parametrize(("shape", "after"), CASES)
def test_instruction_sets_change_no_bit(monkeypatch, shape, after):
    found = {}
    for isa in ("v4", "v3", "plain"):
        monkeypatch.setenv("WINNOW_ISA", isa)
        try:
            core.isa()
        except RuntimeError:
            continue  # this processor does not have it
        found[isa] = digest(shape, after)
    assert len(found) >= 2 and len(set(found.values())) == 1


def test_what_is_not_in_planes_or_of_another_shape_is_refused():
    ours = Ours((20, 2, 4, 4), "relu pool")
    ours.forward(0.1)
    right, other = ours.planed, Planes(2, 20, 3, 4)
    for wrong, said in (
        (ours.planes.batch_major(right), "z is not a float32 CPU tensor"),
        (right.contiguous(), "z does not lie in memory as Planes do"),
        (Planes(2, 40, 4, 4).empty(), "z has 3 chunks of images, which are not 20"),
        (Planes(2, 20, 6, 4).empty(), "y has 2 chunks of 2 x 2 places, not 2 of 3 x 2"),
        (Planes(3, 20, 4, 4).empty(), "y has 2 channels, not 3"),
        (Planes(2, 20, 1, 4).empty(), "images of 1 x 4 cannot be pooled"),
    ):
        ours.planes = types.SimpleNamespace(of=lambda _, wrong=wrong: wrong, batch=20)
        ours.result = types.SimpleNamespace(size=0, view=lambda _: ours.y, batch_major=None)
        with pytest.raises(RuntimeError, match=said):
            ours.forward(0.1)
    with pytest.raises(RuntimeError, match="average has the wrong number of rows"):
        torch.ops.winnow.average(other.empty(), 20, linear.room(3, 20))
