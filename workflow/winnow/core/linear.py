"""A pruned linear layer for minibatches: it stores, multiplies and trains the kept weights only."""

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LANES = 16  # kernel.hpp

# Above this density the dense GEMM is used. Measured once and fixed: the choice decides the bits of a result.
CROSSOVER = 0.45


@dataclass(eq=False)
class Pattern:
    """The kept entries of a [rows, columns] matrix, by rows; the same entries by columns are derived from it.

    Raises ValueError if the three do not fit together.
    """

    shape: tuple[int, int]
    pointers: Tensor  # int64 [rows + 1]: row r keeps coordinates[pointers[r] : pointers[r + 1]]
    coordinates: Tensor  # int32 [kept], ascending within a row, each once
    by_column: tuple[Tensor, Tensor, Tensor] = field(init=False, repr=False)  # pointers, rows, place among the kept
    _flat: dict = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self):
        """Check once what the operators then rely on, and order the entries by column."""
        rows, columns = self.shape
        ends = self.pointers[[0, -1]].tolist()
        kept = len(self.coordinates)
        if len(self.pointers) != rows + 1 or ends != [0, kept] or bool((self.pointers.diff() < 0).any()):
            raise ValueError(f"the pointers are not {rows + 1} ascending numbers from 0 to {kept}")
        if kept and (int(self.coordinates.min()) < 0 or int(self.coordinates.max()) >= columns):
            raise ValueError(f"a coordinate is outside [0, {columns})")
        row = torch.repeat_interleave(torch.arange(rows, dtype=torch.int32), self.pointers.diff())
        order = self.coordinates.argsort(stable=True)
        starts = torch.zeros(columns + 1, dtype=torch.int64)
        starts[1:] = torch.bincount(self.coordinates, minlength=columns).cumsum(0)
        self.by_column = starts, row[order], order.to(torch.int32)

    @property
    def density(self) -> float:
        """The share of kept entries."""
        return len(self.coordinates) / (self.shape[0] * self.shape[1])

    @cached_property
    def bits(self) -> Tensor:
        """The mask, a bit per entry, lowest first, in groups of LANES columns: int16 [rows, groups]."""
        rows, columns = self.shape
        mask = np.zeros((rows, -(-columns // LANES) * LANES), bool)
        mask[torch.repeat_interleave(torch.arange(rows), self.pointers.diff()), self.coordinates] = True
        return torch.from_numpy(np.packbits(mask, axis=1, bitorder="little").view("<i2"))

    def flat(self, device: torch.device) -> Tensor:
        """Where the kept entries lie in the flattened matrix, int64 [kept], on a device."""
        if device not in self._flat:
            row = torch.repeat_interleave(torch.arange(self.shape[0]), self.pointers.diff())
            self._flat[device] = (row * self.shape[1] + self.coordinates).to(device)
        return self._flat[device]


def masked_linear(x: Tensor, weights: Tensor, pattern: Pattern, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + bias for x [..., columns], kept weights [kept] in the order of the pattern, bias [rows]; float32.

    Differentiable in x, weights and bias. On a CPU the cost follows the kept weights up to a density of CROSSOVER and
    is that of a dense layer above it; on a GPU it is the compiled dense layer. Above the crossover and on a GPU the
    bits are those of torch on that machine; below it they are the same everywhere.
    """
    if x.device.type != "cpu":
        return _compiled_dense()(x, weights, pattern.flat(weights.device), pattern.shape, bias)
    function = _Dense if pattern.density > CROSSOVER else _Sparse
    y = function.apply(x.reshape(-1, pattern.shape[1]).contiguous(), weights, bias, pattern)
    return y.reshape(*x.shape[:-1], pattern.shape[0])


def _coordinate_major(x: Tensor) -> Tensor:
    """x^T [d, batch] of x [batch, d], laid out as `core.padded` does."""
    stride = LANES * (-(-len(x) // LANES) | 1)
    across = x.new_empty(x.shape[1], stride)[:, : len(x)]
    torch.ops.winnow.coordinate_major(x, across)
    return across


class _Sparse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern):
        across = _coordinate_major(x)
        ctx.pattern = pattern
        ctx.save_for_backward(across, weights)
        y = x.new_empty(len(x), pattern.shape[0])
        torch.ops.winnow.matmul(pattern.pointers, pattern.coordinates, weights, across, y)
        return y if bias is None else y.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (across, weights), pattern = ctx.saved_tensors, ctx.pattern
        pointers, rows, order = pattern.by_column
        to_weights = torch.empty_like(weights)
        to_x = g.new_empty(len(g), pattern.shape[1]) if ctx.needs_input_grad[0] else None
        g_across = _coordinate_major(g.contiguous())
        torch.ops.winnow.backward(pointers, rows, order, weights, across, g_across, to_weights, to_x)
        to_bias = g.sum(0) if ctx.needs_input_grad[2] else None
        return to_x, to_weights, to_bias, None


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern):
        if pattern.density == 1:
            matrix = weights.view(pattern.shape)
        else:
            matrix = weights.new_empty(pattern.shape)
            torch.ops.winnow.expand(pattern.pointers, pattern.bits, weights, matrix)
        ctx.pattern = pattern
        ctx.save_for_backward(x, matrix)
        return torch.nn.functional.linear(x, matrix, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x, matrix), pattern = ctx.saved_tensors, ctx.pattern
        to_x = to_weights = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = g @ matrix
        if ctx.needs_input_grad[1]:
            everywhere = (g.T @ x).contiguous()
            if pattern.density == 1:
                to_weights = everywhere.view(-1)
            else:
                to_weights = x.new_empty(len(pattern.coordinates))
                torch.ops.winnow.collect(pattern.pointers, pattern.bits, everywhere, to_weights)
        if ctx.needs_input_grad[2]:
            to_bias = g.sum(0)
        return to_x, to_weights, to_bias, None


def _dense(x, weights, flat, shape, bias):
    matrix = weights.new_zeros(shape[0] * shape[1]).scatter(0, flat, weights).view(shape)
    return torch.nn.functional.linear(x, matrix, bias)


@cache
def _compiled_dense():
    return torch.compile(_dense)
