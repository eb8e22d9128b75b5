"""Convolutions on their kept weights against torch's in float64, their bits, and what the operators refuse."""

import ctypes
import os
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.nn.functional import conv2d

from winnow import core
from winnow.core import convolution
from winnow.core.convolution import Planes
from winnow.errors import WinnowError

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
    planes = Planes(x.shape[1], len(x), *x.shape[2:])
    output = planes.convolved(pattern, stride)
    kept, inputs, slopes = weights[mask], planes.of(x), output.of(g)
    z, gradient, to_x = output.empty(), torch.empty(len(kept)), planes.empty()
    convolution.forward(pattern, stride, kept, inputs, z)
    convolution.backward(pattern, stride, kept, inputs, slopes, gradient, to_x)
    return output.batch_major(z), gradient, planes.batch_major(to_x)


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
def test_every_tile_and_its_remainders(size, stride):
    one = problem(5, 7, *size, 83, 3, stride, 0.4, 0)
    assert_close(passes(*one, stride), expected(*one, stride))


def bytes_of(tensors):
    return tuple(t.contiguous().numpy().tobytes() for t in tensors)


def every_isa(monkeypatch):
    """Sets WINNOW_ISA to each instruction set that this processor has."""
    for isa in ("v4", "v3", "plain"):
        monkeypatch.setenv("WINNOW_ISA", isa)
        try:
            core.isa()
        except RuntimeError:
            continue
        yield isa


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_instruction_sets_and_blocks_change_no_bit(monkeypatch, size, stride, kernel):
    batch = 70 if min(size) < 10 else 20  # the plain kernels take long for large images
    one = problem(21, 37, *size, batch, kernel, stride, 0.3, 1)
    found = {}
    for isa in every_isa(monkeypatch):
        for near in (1, 7, 1000):
            monkeypatch.setattr(convolution, "_near", lambda density, width, near=near: near)
            found[isa, near] = bytes_of(passes(*one, stride))
    assert len(found) >= 3 and len(set(found.values())) == 1


def test_the_order_of_sums_is_the_one_that_docs_core_md_tells(monkeypatch):
    """The three passes of 8 x 9 images, 20 at a time, added up here one term after the other."""
    mask, weights, x, g = problem(2, 2, 8, 9, 20, 3, 1, 0.7, 3)
    z, gradient, to_x = passes(mask, weights, x, g, 1)

    def fma(a, b, c):  # of float32 numbers whose products float64 holds; the sum is rounded twice, seldom otherwise
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

    def padded(t):
        return np.pad(t.numpy(), [(0, -len(t) % 16), (0, 0), (1, 1), (1, 1)])

    inputs, slopes = padded(x), padded(g)
    sums, back = np.zeros_like(slopes[:, :, 1:-1, 1:-1]), np.zeros_like(inputs[:, :, 1:-1, 1:-1])
    found = []
    for o, c, a, b in mask.nonzero().tolist():
        w = weights[o, c, a, b].item()
        sums[:, o] = fma(w, inputs[:, c, a : a + 8, b : b + 9], sums[:, o])
    for c, o, a, b in mask.transpose(0, 1).nonzero().tolist():
        w = weights[o, c, a, b].item()
        back[:, c] = fma(w, slopes[:, o, 2 - a : 10 - a, 2 - b : 11 - b], back[:, c])
    for o, c, a, b in mask.nonzero().tolist():
        total = np.float32(0)
        for first in (0, 16):
            for y in range(0, 8, 2):
                for start, width in ((0, 8), (8, 1)):
                    chain = np.zeros((2, 16), np.float32)
                    for k, (row, column) in enumerate(np.ndindex(2, width)):
                        lanes, top, left = slice(first, first + 16), y + row, start + column
                        x, g = inputs[lanes, c, top + 1, left + 1], slopes[lanes, o, top + 2 - a, left + 2 - b]
                        chain[k % 2] = fma(x, g, chain[k % 2])
                    lanes = chain[0] + chain[1]
                    while len(lanes) > 1:
                        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
                    total += lanes[0]
        found.append(total)
    assert np.array_equal(z, sums[:20])
    assert np.array_equal(to_x, back[:20])
    assert np.array_equal(gradient, np.array(found))


def test_one_gradient_alone_has_the_bits_of_both(monkeypatch):
    mask, weights, x, g = problem(9, 11, 10, 12, 30, 3, 2, 0.4, 2)
    pattern, kept = core.Pattern.of(mask.flatten(1)), weights[mask]
    planes = Planes(9, 30, 10, 12)
    inputs, slopes = planes.of(x), planes.convolved(pattern, 2).of(g)
    both = passes(mask, weights, x, g, 2)[1:]
    for _ in every_isa(monkeypatch):
        gradient, to_x = torch.empty(len(kept)), planes.empty()
        convolution.backward(pattern, 2, kept, inputs, slopes, gradient, None)
        convolution.backward(pattern, 2, kept, inputs, slopes, None, to_x)
        assert bytes_of((gradient, planes.batch_major(to_x))) == bytes_of(both)


def test_planes_lead_there_and_back():
    for shape in ((33, 3, 5, 7), (16, 2, 4, 4), (1, 1, 1, 1), (20, 2, 32, 32)):
        x = torch.randn(shape)
        planes = Planes(shape[1], shape[0], *shape[2:])
        sums, memory = torch.empty(shape[1]), torch.full((planes.size,), torch.nan)
        view = planes.view(memory)
        torch.ops.winnow.to_planes(x, view, sums)
        assert torch.equal(planes.batch_major(view), x)
        assert torch.allclose(sums.double(), x.double().sum((0, 2, 3)), rtol=1e-6, atol=1e-6)
        bias = torch.randn(shape[1])
        assert torch.equal(planes.batch_major(view, bias), x + bias[:, None, None])
        assert memory.count_nonzero() == x.count_nonzero()  # zeros around the images, and no NaN left


def held() -> float:
    """What this process has in memory, MB, once freed memory is given back."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def test_no_lists_stay_in_memory_for_any_size_of_batch():
    """Nothing but the mask and the weights is kept: lists would be 16 bytes a weight."""
    mask = torch.ones(384, 384, 3, 3, dtype=torch.bool)
    pattern, weights = core.Pattern.of(mask.flatten(1)), torch.ones(mask.numel())

    def both(batch):
        x, g, gradient = torch.ones(batch, 384, 1, 1), torch.ones(batch, 384, 1, 1), torch.empty_like(weights)
        planes = Planes(384, batch, 1, 1)
        convolution.forward(pattern, 1, weights, planes.of(x), planes.convolved(pattern, 1).empty())
        convolution.backward(pattern, 1, weights, planes.of(x), planes.of(g), gradient, planes.empty())

    both(1)
    before = held()
    for batch in (17, 33):
        both(batch)
    assert held() - before < 16 * len(weights) / 1e6 / 2


def test_what_is_no_convolution_is_refused():
    pattern = core.Pattern.of(torch.ones(2, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="a stride of 1 and 8 weights an output are no convolution of 2 channels"):
        Planes(2, 16, 4, 4).convolved(pattern, 1)
    with pytest.raises(ValueError, match="a stride of 3 and 8 weights"):
        Planes(8, 16, 4, 4).convolved(pattern, 3)
    with pytest.raises(WinnowError, match="too many images"):
        Planes(8, 1 << 20, 32, 32).convolved(pattern, 1)


@pytest.fixture
def arguments():
    """Those of the operators, by name, for a small convolution with a stride of 2."""
    mask, weights, x, g = problem(3, 4, 6, 5, 20, 3, 2, 0.5, 0)
    pattern, planes = core.Pattern.of(mask.flatten(1)), Planes(3, 20, 6, 5)
    output, kept = planes.convolved(pattern, 2), weights[mask]
    both = dict(pointers=pattern.pointers, coordinates=pattern.coordinates, kernel=3, stride=2, near=2)
    both |= dict(weights=kept, x=planes.of(x))
    back = dict(g=output.of(g), gradient=torch.empty(len(kept)), to_x=planes.empty())
    return {"convolve": both | dict(z=output.empty()), "convolve_backward": both | back}


def planes_of(*shape):
    return Planes(*shape).empty()


def changed(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


REFUSED = [
    ("weights", lambda t: t[1:], "the wrong shape"),
    ("weights", lambda t: t.double(), "weights is not a contiguous CPU tensor"),
    ("weights", lambda t: torch.stack([t, t], 1)[:, 0], "weights is not a contiguous CPU tensor"),
    ("pointers", lambda t: t.int(), "pointers is not a contiguous CPU tensor"),
    ("pointers", lambda t: t[:-1], "pointers do not ascend from 0 to the number of weights"),
    ("pointers", lambda t: changed(t, 1, 9999), "pointers do not ascend from 0 to the number of weights"),
    ("pointers", lambda t: torch.cat([t, t[-1:]]), "the pattern has 5 rows, and there are 4 channels"),
    ("coordinates", lambda t: t.long(), "coordinates is not a contiguous CPU tensor"),
    ("coordinates", lambda t: t[:-1], "weights has the wrong shape"),
    ("coordinates", lambda t: changed(t, 0, 27), r"coordinates outside \[0, 27\)"),
    ("coordinates", lambda t: changed(t, 0, -1), r"coordinates outside \[0, 27\)"),
    ("kernel", lambda k: 2, "the kernel is 2, not 1 or 3"),
    ("near", lambda n: 0, "0 channels are read at once"),
    ("stride", lambda s: 3, "the stride is 3, not 1 or 2"),
    ("stride", lambda s: 1, "chunks of 3 x 3 places, not 2 of 6 x 5"),
    ("x", lambda t: t.double(), "x is not a float32 CPU tensor"),
    ("x", lambda t: t.contiguous(), "x does not lie in memory as Planes do"),
    ("x", lambda t: planes_of(3, 20, 8, 5), "not 2 of 4 x 3"),
    ("x", lambda t: planes_of(3, 50, 6, 5), "not 4 of 3 x 3"),
]


@pytest.mark.parametrize("operator", ["convolve", "convolve_backward"])
@pytest.mark.parametrize(("name", "change", "message"), REFUSED)
def test_arguments_are_checked(arguments, operator, name, change, message):
    given = arguments[operator]
    getattr(torch.ops.winnow, operator)(**given)
    with pytest.raises(RuntimeError, match=f"winnow: .*{message}") as caught:
        getattr(torch.ops.winnow, operator)(**given | {name: change(given[name])})
    assert str(caught.value).count("\n") <= 1


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("gradient", lambda t: t[1:].clone(), "gradient has the wrong shape"),
        ("to_x", lambda t: planes_of(3, 20, 5, 5), "to_x has 2 chunks of 5 x 5 places, not 2 of 6 x 5"),
        ("to_x", lambda t: planes_of(2, 20, 6, 5), "to_x has 2 channels, not 3"),
        ("to_x", lambda t: t.contiguous(), "to_x does not lie in memory as Planes do"),
    ],
)
def test_arguments_of_the_gradients_are_checked(arguments, name, change, message):
    given = arguments["convolve_backward"]
    with pytest.raises(RuntimeError, match=f"winnow: .*{message}"):
        torch.ops.winnow.convolve_backward(**given | {name: change(given[name])})


@pytest.mark.parametrize("operator", ["to_planes", "from_planes"])
def test_batches_are_checked(operator):
    planes = Planes(3, 20, 6, 5)
    more = {"to_planes": {"sums": None}, "from_planes": {"bias": None}}[operator]
    for x, view, message in (
        (torch.randn(20, 3, 6), planes.empty(), r"not \[batch, channels, height, width\]"),
        (torch.randn(20, 3, 6, 4), planes.empty(), "wrong shape"),
        (torch.randn(40, 3, 6, 5), planes.empty(), "2 chunks of 6 x 5 places, not 3 of 6 x 5"),
        (torch.randn(20, 3, 6, 5).double(), planes.empty(), "a batch of images is not a contiguous"),
        (torch.randn(20, 3, 6, 5), planes.empty().contiguous(), "planes does not lie in memory as Planes do"),
    ):
        with pytest.raises(RuntimeError, match=message):
            getattr(torch.ops.winnow, operator)(x=x, planes=view, **more)
