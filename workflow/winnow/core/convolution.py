"""Pruned convolutions for minibatches of images: they store, multiply and train the kept weights only."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .linear import LANES, Pattern, float32, reserved, scattered

KEPT_LISTS = 2  # of a pattern, 16 bytes a weight each: for batches, and images, of two sizes


def masked_conv2d(x: Tensor, weights: Tensor, pattern: Pattern, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """A convolution of x [batch, channels, height, width] with kept weights [kept], padded by half its kernel; float32.

    The pattern is [outputs, channels * kernel^2] with kernels of 1 x 1 or 3 x 3, the stride 1 or 2, the bias [outputs].
    Differentiable in x, weights and bias. On a CPU the cost follows the kept weights and the bits are those of every
    CPU; on a GPU it is the compiled dense convolution. Raises TypeError for other types on a CPU (but for x under
    torch.autocast), ValueError for other shapes.
    """
    if x.dim() != 4 or pattern.shape[1] not in (x.shape[1], 9 * x.shape[1]):
        raise ValueError(
            f"masked_conv2d: x is {list(x.shape)}; it must be [batch, channels, height, width] with channels that have "
            f"kernels of 1 x 1 or 3 x 3 among the {pattern.shape[1]} inputs of the mask"
        )
    if x.device.type != "cpu":
        return _compiled_dense()(x, weights, pattern.flat(weights.device), pattern.shape, stride, bias)
    return _Convolution.apply(float32("masked_conv2d", x, weights, bias), weights, bias, pattern, stride)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern, stride):
        ctx.taps = taps = Taps.of(pattern, Planes(x.shape[1], x.shape[0], *x.shape[2:]), stride)
        inputs, z = taps.planes.of(x), taps.output.empty()
        ctx.save_for_backward(inputs, weights)
        forward(taps, weights, inputs, z)
        return taps.output.batch_major(z, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (inputs, weights), taps = ctx.saved_tensors, ctx.taps
        needs_x, needs_weights, needs_bias = ctx.needs_input_grad[:3]
        to_bias = torch.empty(taps.output.channels) if needs_bias else None
        to_weights = torch.empty_like(weights) if needs_weights else None
        to_x = taps.planes.empty() if needs_x else None
        backward(taps, weights, inputs, taps.output.of(g, to_bias), to_weights, to_x)
        return taps.planes.batch_major(to_x) if needs_x else None, to_weights, to_bias, None, None


def _dense(x, weights, flat, shape, stride, bias):
    kernel = 1 if shape[1] == x.shape[1] else 3
    dense = scattered(weights, flat, (shape[0], x.shape[1], kernel, kernel))
    return torch.nn.functional.conv2d(x, dense, bias, stride, kernel // 2)


@cache
def _compiled_dense():
    return torch.compile(_dense)


# ---- In the layout of the kernels ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planes:
    """How a batch of images [batch, channels, height, width] lies in memory, float32.

    [channel][chunk of 16 examples][row][column][16 lanes], with one chunk of zeros before every row, a row of them
    before every image and one more chunk between channels: what a kernel reads to the right of a row is the left border
    of the next one, and below an image the upper border of the next. So an image takes (height + 1) (width + 1) chunks,
    for even sides an odd number: no power of two lies between lines that are read together.

    A tensor in this layout is a view [channels, chunks, height, width, 16] of its inner part. A convolution reads the
    borders of its input and of the slopes of its output, and needs none of what it writes. The lanes behind the last
    example are zeros.
    """

    channels: int
    batch: int
    height: int
    width: int

    @property
    def chunks(self) -> int:
        """Chunks of 16 examples."""
        return -(-self.batch // LANES)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Of a tensor in this layout."""
        return self.channels, self.chunks, self.height, self.width, LANES

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """From channel to channel, chunk to chunk, row to row, column to column and lane to lane, in floats."""
        row = (self.width + 1) * LANES
        image = (self.height + 1) * row
        return self.chunks * image + LANES, image, row, LANES, 1

    @property
    def size(self) -> int:
        """Floats that it takes, borders included."""
        return self.channels * self.strides[0] + self.strides[2]

    def view(self, memory: Tensor) -> Tensor:
        """The tensor in `memory`, flat, at least `size` long and aligned to 64 bytes."""
        return memory.as_strided(self.shape, self.strides, memory.storage_offset() + self.strides[2] + LANES)

    def empty(self) -> Tensor:
        """Room for what a convolution writes, not filled: for a moment."""
        return self.view(torch.empty(self.size))

    def zeros(self) -> Tensor:
        """Room for long, on huge pages: whoever writes the inner part alone leaves the borders 0, which are read."""
        return self.view(reserved(self.size))

    def of(self, x: Tensor, sums: Tensor | None = None) -> Tensor:
        """A batch [batch, channels, height, width] in this layout; `sums` [channels] become those of its channels."""
        planes = self.empty()
        torch.ops.winnow.to_planes(x.contiguous(), planes, sums)
        return planes

    def batch_major(self, planes: Tensor, bias: Tensor | None = None) -> Tensor:
        """The batch [batch, channels, height, width] of a tensor in this layout, plus a bias [channels]."""
        x = torch.empty(self.batch, self.channels, self.height, self.width)
        torch.ops.winnow.from_planes(planes, bias, x)
        return x


@dataclass(frozen=True, eq=False)
class Taps:
    """The kept weights of a convolution as the kernels walk over them, for images of one size.

    A list is what an operator takes: segments int32 [n, 3] (row, weights, whether the row begins), offsets int32 [kept]
    in floats and the places of its weights in the pattern, int32 [kept].
    """

    planes: Planes  # of the input
    output: Planes
    stride: int
    ahead: tuple[Tensor, Tensor, Tensor]
    back: tuple[Tensor, Tensor, Tensor]  # one after the other for each parity of input rows and columns
    counts: list[int]  # segments of each parity

    @classmethod
    def of(cls, pattern: Pattern, planes: Planes, stride: int) -> "Taps":
        """The taps of a pattern [outputs, channels * kernel^2]: kernels of 3 x 3 or 1 x 1, padding kernel // 2.

        The lists are kept with the pattern. Raises ValueError if the two do not fit, or for images too large for int32.
        """
        key = replace(planes, batch=planes.chunks * LANES), stride
        if key not in pattern.taps:
            while len(pattern.taps) >= KEPT_LISTS:
                del pattern.taps[next(iter(pattern.taps))]
            pattern.taps[key] = _lists(pattern, *key)
        sides = [-(-side // stride) for side in (planes.height, planes.width)]
        return cls(planes, Planes(pattern.shape[0], planes.batch, *sides), stride, *pattern.taps[key])


def forward(taps: Taps, weights: Tensor, x: Tensor, z: Tensor) -> None:
    """z = the convolution of x with kept weights [kept], in the order of the pattern; both lie as the taps' planes."""
    torch.ops.winnow.convolve(*taps.ahead, weights, x, z, taps.stride)


def backward(
    taps: Taps,
    weights: Tensor,
    x: Tensor,
    g: Tensor,
    gradient: Tensor | None,
    to_x: Tensor | None,
    add: bool = False,
) -> None:
    """Of z = the convolution of x, given g = d loss / d z: gradient [kept] and to_x, each where it is wanted.

    If `add`, to_x is added to.
    """
    torch.ops.winnow.convolve_backward(*taps.back, weights, x, g, gradient, to_x, taps.counts, taps.stride, add)


def _lists(pattern: Pattern, planes: Planes, stride: int):
    """(ahead, back, counts) of Taps."""
    outputs, columns = pattern.shape
    kernel = {planes.channels: 1, planes.channels * 9: 3}.get(columns)
    if kernel is None or stride not in (1, 2):
        raise ValueError(
            f"a stride of {stride} and {columns} weights an output are no convolution of {planes.channels} channels "
            "with kernels of 1 x 1 or 3 x 3 and a stride of 1 or 2"
        )
    result = Planes(outputs, planes.batch, -(-planes.height // stride), -(-planes.width // stride))
    if max(planes.size, result.size) >= 1 << 31:
        raise ValueError(f"a batch of {planes.batch} images is too large for a convolution; take fewer at once")
    # Row and column of a weight in its kernel, from the center
    place = pattern.coordinates.numpy()
    output = np.repeat(np.arange(outputs, dtype=np.int32), pattern.pointers.diff().numpy())
    channel, y, x = place // kernel**2, place // kernel % kernel - kernel // 2, place % kernel - kernel // 2
    block = _near(pattern.density, result.width), 32
    ahead, order = _segments(channel, output, outputs, block)
    to = channel * planes.strides[0] + y * planes.strides[2] + x * LANES
    parts = []
    for parity in np.ndindex(stride, stride):
        mine = np.flatnonzero(((y - parity[0]) % stride == 0) & ((x - parity[1]) % stride == 0))
        segments, chosen = _segments(output[mine], channel[mine], planes.channels, block)
        chosen = mine[chosen]
        up, left = (parity[0] - y[chosen]) // stride, (parity[1] - x[chosen]) // stride
        parts.append((segments, output[chosen] * result.strides[0] + up * result.strides[2] + left * LANES, chosen))
    back = [np.concatenate(part) for part in zip(*parts, strict=True)]
    as_tensors = [
        tuple(torch.from_numpy(a.astype(np.int32, copy=False)) for a in three)
        for three in ((ahead, to[order], order), back)
    ]
    return *as_tensors, [len(segments) for segments, *_ in parts]


def _near(density: float, width: int) -> int:
    """Channels whose part of a tile a first-level cache holds beside what is summed: a matter of speed alone."""
    lines = 54 if width >= 16 else 40 if width >= 8 else 36  # of a channel, that a tile of 16 chunks reads
    near = 430 if density >= 0.5 else 600 if density >= 0.2 else 1100 if density >= 0.08 else 3000
    return near // lines


def _segments(read: np.ndarray, row: np.ndarray, rows: int, block: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(segments [n, 3], order of the weights) of weights that read a channel and sum for a row, by blocks of both.

    A block has some channels read and some rows; a segment, the weights of a row in a block, in the order they come in.
    """
    reads, sums = read // block[0], row // block[1]
    order = np.lexsort((row, reads, sums))
    keys = np.stack([row, reads])[:, order]
    starts = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(0))) if len(row) else np.empty(0, int)
    empty = np.setdiff1d(np.arange(rows), row)
    segments = np.zeros((len(starts) + len(empty), 3), np.int64)
    segments[:, 0] = np.concatenate([row[order[starts]], empty])
    segments[: len(starts), 1] = np.diff(np.append(starts, len(row)))
    segments[np.unique(segments[:, 0], return_index=True)[1], 2] = 1
    return segments, order.astype(np.int32)
