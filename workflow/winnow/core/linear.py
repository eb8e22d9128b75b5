"""A pruned linear layer for minibatches: it stores, multiplies and trains the kept weights only."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Above this density the dense GEMM is used. Measured once and fixed: the choice decides the bits of a result.
CROSSOVER = 0.5


@dataclass(eq=False)
class Pattern:
    """The kept entries of a [rows, columns] matrix, by rows; the same entries by columns are derived from it."""

    shape: tuple[int, int]
    pointers: Tensor  # int64 [rows + 1]: row r keeps coordinates[pointers[r] : pointers[r + 1]]
    coordinates: Tensor  # int32 [kept], ascending within a row
    by_column: tuple[Tensor, Tensor, Tensor] = field(init=False, repr=False)  # pointers, rows, place among the kept
    _flat: dict = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self):
        row = torch.repeat_interleave(torch.arange(self.shape[0], dtype=torch.int32), self.pointers.diff())
        order = self.coordinates.argsort(stable=True)
        pointers = torch.zeros(self.shape[1] + 1, dtype=torch.int64)
        pointers[1:] = torch.bincount(self.coordinates, minlength=self.shape[1]).cumsum(0)
        self.by_column = pointers, row[order], order.to(torch.int32)

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
    is that of a dense layer above it; on a GPU it is the compiled dense layer.
    """
    if x.device.type != "cpu":
        return _compiled_dense()(x, weights, pattern.flat(weights.device), pattern.shape, bias)
    y = _MaskedLinear.apply(x.reshape(-1, pattern.shape[1]).contiguous(), weights, pattern)
    y = y if bias is None else y + bias
    return y.reshape(*x.shape[:-1], pattern.shape[0])


class _MaskedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, pattern):
        ctx.pattern = pattern
        if pattern.density > CROSSOVER:
            matrix = _expand(pattern, weights)
            ctx.save_for_backward(x, matrix)
            return x @ matrix.T
        ctx.save_for_backward(x, weights)
        y = x.new_empty(len(x), pattern.shape[0])
        torch.ops.winnow.matmul(pattern.pointers, pattern.coordinates, weights, None, x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weights = ctx.saved_tensors  # above the crossover: the dense matrix
        pattern, g = ctx.pattern, g.contiguous()
        dense = pattern.density > CROSSOVER
        to_x = to_weights = None
        if ctx.needs_input_grad[0] and dense:
            to_x = g @ weights
        elif ctx.needs_input_grad[0]:
            to_x = torch.empty_like(x)
            pointers, rows, order = pattern.by_column
            torch.ops.winnow.matmul(pointers, rows, weights, order, g, to_x)
        if ctx.needs_input_grad[1]:
            to_weights = x.new_empty(len(pattern.coordinates))
            if pattern.density == 1:
                to_weights = (g.T @ x).reshape(-1)
            elif dense:
                torch.ops.winnow.collect(pattern.pointers, pattern.coordinates, g.T @ x, to_weights)
            else:
                torch.ops.winnow.sampled(pattern.pointers, pattern.coordinates, x, g, to_weights)
        return to_x, to_weights, None


def _expand(pattern: Pattern, weights: Tensor) -> Tensor:
    if pattern.density == 1:
        return weights.view(pattern.shape)
    matrix = weights.new_empty(pattern.shape)
    torch.ops.winnow.expand(pattern.pointers, pattern.coordinates, weights, matrix)
    return matrix


def _dense(x, weights, flat, shape, bias):
    matrix = weights.new_zeros(shape[0] * shape[1]).scatter(0, flat, weights).view(shape)
    return torch.nn.functional.linear(x, matrix, bias)


def _compiled_dense(_cache=[]):  # noqa: B006, compiled once a process, at first use
    if not _cache:
        _cache.append(torch.compile(_dense))
    return _cache[0]
