"""A pruned linear layer for minibatches: it stores, multiplies and trains the kept weights only."""

from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Above this density the dense GEMM is used. Measured once and fixed: the choice decides the bits of a result.
CROSSOVER = 0.55


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


class _Sparse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern):
        ctx.pattern = pattern
        ctx.save_for_backward(x, weights)
        y = x.new_empty(len(x), pattern.shape[0])
        torch.ops.winnow.matmul(pattern.pointers, pattern.coordinates, weights, None, x, y)
        return y if bias is None else y.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x, weights), pattern, g = ctx.saved_tensors, ctx.pattern, g.contiguous()
        to_x = to_weights = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = torch.empty_like(x)
            torch.ops.winnow.matmul(*pattern.by_column[:2], weights, pattern.by_column[2], g, to_x)
        if ctx.needs_input_grad[1]:
            to_weights = torch.empty_like(weights)
            torch.ops.winnow.sampled(pattern.pointers, pattern.coordinates, x, g, to_weights)
        if ctx.needs_input_grad[2]:
            to_bias = g.sum(0)
        return to_x, to_weights, to_bias, None


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern):
        if pattern.density == 1:
            matrix = weights.view(pattern.shape)
        else:
            matrix = weights.new_empty(pattern.shape)
            torch.ops.winnow.expand(pattern.pointers, pattern.coordinates, weights, matrix)
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
                torch.ops.winnow.collect(pattern.pointers, pattern.coordinates, everywhere, to_weights)
        if ctx.needs_input_grad[2]:
            to_bias = g.sum(0)
        return to_x, to_weights, to_bias, None


def _dense(x, weights, flat, shape, bias):
    matrix = weights.new_zeros(shape[0] * shape[1]).scatter(0, flat, weights).view(shape)
    return torch.nn.functional.linear(x, matrix, bias)


@cache
def _compiled_dense():
    return torch.compile(_dense)
