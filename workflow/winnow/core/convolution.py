"""Pruned convolutions for minibatches of images: they store, multiply and train the kept weights only."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .linear import LANES


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

    def view(self, memory: Tensor) -> Tensor:
        """The tensor in `memory`, flat and at least `size` long."""
        return memory.as_strided(self.shape, self.strides, self.strides[2] + LANES)

    @property
    def size(self) -> int:
        """Floats that it takes, borders included: behind the last channel lie a row and two chunks of zeros."""
        return self.channels * self.strides[0] + self.strides[2] + 2 * LANES

    def empty(self) -> Tensor:
        """Room for what a convolution writes; borders are not zeros."""
        return self.view(torch.empty(self.size))

    def zeros(self) -> Tensor:
        """Room for what a convolution reads, all zeros: whoever fills its view leaves the borders as they are."""
        return self.view(torch.zeros(self.size))

    def of(self, x: Tensor) -> Tensor:
        """A batch [batch, channels, height, width] in this layout, borders and lanes behind the last example 0."""
        planes = self.zeros()
        for chunk, part in enumerate(x.split(LANES)):
            planes[:, chunk, :, :, : len(part)] = part.permute(1, 2, 3, 0)
        return planes

    def batch_major(self, planes: Tensor) -> Tensor:
        """The batch [batch, channels, height, width] of a tensor in this layout."""
        return planes.permute(1, 4, 0, 2, 3).flatten(0, 1)[: self.batch].contiguous()
