"""Convolutions on their kept weights against torch's in float64, their bits, and what the operators refuse."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.nn.functional import conv2d

from winnow import core
from winnow.core import convolution
from winnow.core.convolution import Planes, Taps

SHAPES = st.fixed_dictionaries(
    {
        "inputs": st.integers(1, 39),
        "outputs": st.integers(1, 39),
        "height": st.integers(1, 19),
        "width": st.integers(1, 19),
        "batch": st.integers(1, 80),
        "kernel": st.sampled_from([1, 3]),
        "stride": st.sampled_from([1, 2]),
        "density": st.sampled_from([1.0, 0.3, 0.05, 0.0]),
        "seed": st.integers(0, 10**6),
    }
)
# Every tile, the borders between the choices of it, and images that torch's networks have
SIZES = ((32, 32), (16, 16), (17, 17), (8, 8), (9, 15), (7, 7), (4, 4), (3, 2), (2, 3), (2, 2), (1, 2), (1, 1))


def problem(inputs, outputs, height, width, batch, kernel, stride, density, seed):
    """(mask, dense weights, x, g) of a convolution; some rows of the mask are empty."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(outputs, inputs, kernel, kernel, generator=generator) < density
    mask[torch.rand(outputs, generator=generator) < 0.1] = False
    weights = torch.randn(mask.shape, generator=generator) * mask
    x = torch.randn(batch, inputs, height, width, generator=generator)
    g = torch.randn(batch, outputs, -(-height // stride), -(-width // stride), generator=generator)
    return mask, weights, x, g


def passes(mask, weights, x, g, stride):
    """(z, gradient of the kept weights, to_x) of the core."""
    pattern = core.Pattern.of(mask.flatten(1))
    taps = Taps.of(pattern, Planes(x.shape[1], len(x), *x.shape[2:]), stride)
    kept = weights[mask]
    planes, slopes = taps.planes.of(x), taps.output.of(g)
    z, gradient, to_x = taps.output.empty(), torch.empty(len(kept)), taps.planes.empty()
    convolution.forward(taps, kept, planes, z)
    convolution.backward(taps, kept, planes, slopes, gradient, to_x)
    return taps.output.batch_major(z), gradient, taps.planes.batch_major(to_x)


def expected(mask, weights, x, g, stride):
    """The same by autograd in float64."""
    weights, x = weights.double().requires_grad_(), x.double().requires_grad_()
    z = conv2d(x, weights, None, stride, mask.shape[-1] // 2)
    to_weights, to_x = torch.autograd.grad(z, (weights, x), g.double())
    return z.detach(), to_weights[mask], to_x


def assert_close(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and (a - b).abs().max() <= 1e-5 * b.abs().max() if b.numel() else not a.numel()


@settings(max_examples=60, derandomize=True)
@given(SHAPES)
def test_the_passes_are_those_of_torch(shape):
    one = problem(**shape)
    assert_close(passes(*one, shape["stride"]), expected(*one, shape["stride"]))
