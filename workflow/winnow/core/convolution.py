"""Pruned convolutions for minibatches of images: they store, multiply and train the kept weights only."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import WinnowError
from .linear import LANES, Pattern, float32, scattered


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
        planes = Planes(x.shape[1], x.shape[0], *x.shape[2:])
        output = planes.convolved(pattern, stride)
        inputs, z = planes.of(x), output.empty()
        ctx.save_for_backward(inputs, weights)
        ctx.shapes = pattern, stride, planes, output
        forward(pattern, stride, weights, inputs, z)
        return output.batch_major(z, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (inputs, weights), (pattern, stride, planes, output) = ctx.saved_tensors, ctx.shapes
        needs_x, needs_weights, needs_bias = ctx.needs_input_grad[:3]
        to_bias = torch.empty(output.channels) if needs_bias else None
        to_weights = torch.empty_like(weights) if needs_weights else None
        to_x = planes.empty() if needs_x else None
        backward(pattern, stride, weights, inputs, output.of(g, to_bias), to_weights, to_x)
        return planes.batch_major(to_x) if needs_x else None, to_weights, to_bias, None, None


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

    def convolved(self, pattern: Pattern, stride: int) -> "Planes":
        """What a convolution of kernels of 3 x 3 or 1 x 1, padded by half of that, makes of it.

        Raises ValueError if the pattern [outputs, channels * kernel^2] does not fit, WinnowError for too large a batch.
        """
        if pattern.shape[1] not in (self.channels, 9 * self.channels) or stride not in (1, 2):
            raise ValueError(
                f"a stride of {stride} and {pattern.shape[1]} weights an output are no convolution of {self.channels} "
                "channels with kernels of 1 x 1 or 3 x 3 and a stride of 1 or 2"
            )
        result = Planes(pattern.shape[0], self.batch, -(-self.height // stride), -(-self.width // stride))
        if max(self.size, result.size) >= 1 << 31:
            raise WinnowError(f"training.batch_size = {self.batch}: too many images for a convolution; take fewer")
        return result

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


def forward(pattern: Pattern, stride: int, weights: Tensor, x: Tensor, z: Tensor) -> None:
    """z = the convolution of x with kept weights [kept], in the order of the pattern [outputs, channels * kernel^2].

    x lies as `Planes` and z as what is `convolved` of them. Raises RuntimeError for tensors of another type or shape.
    """
    torch.ops.winnow.convolve(*_kept(pattern, x), weights, x, z, stride, _near(pattern.density, z.shape[3]))


def backward(
    pattern: Pattern,
    stride: int,
    weights: Tensor,
    x: Tensor,
    g: Tensor,
    gradient: Tensor | None,
    to_x: Tensor | None,
    add: bool = False,
) -> None:
    """Of z = the convolution of x, given g = d loss / d z: gradient [kept] and to_x, each where it is wanted.

    g lies as z does, to_x as x. If `add`, to_x is added to.
    """
    near = _near(pattern.density, g.shape[3])
    torch.ops.winnow.convolve_backward(*_kept(pattern, x), weights, x, g, gradient, to_x, stride, near, add)


def _kept(pattern: Pattern, x: Tensor) -> tuple[Tensor, Tensor, int]:
    """What the operators take of a pattern, and its kernel."""
    return pattern.pointers, pattern.coordinates, 1 if pattern.shape[1] == x.shape[0] else 3


def _near(density: float, width: int) -> int:
    """Channels whose part of a tile a first-level cache holds beside what is summed: a matter of speed alone."""
    lines = 54 if width >= 16 else 40 if width >= 8 else 36  # of a channel, that a tile of 16 chunks reads
    near = 430 if density >= 0.5 else 600 if density >= 0.2 else 1100 if density >= 0.08 else 3000
    return near // lines
