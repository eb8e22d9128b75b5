"""A pruned linear layer for minibatches: it stores, multiplies and trains the kept weights only."""

import math
import mmap
import time
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LANES = 16  # kernel.hpp
BETWEEN = 0.3, 0.6  # densities between which it depends on the processor whether dense products are faster


@dataclass(eq=False)
class Pattern:
    """The kept entries of a [rows, columns] matrix, by rows: what a mask is to all that trains.

    Raises ValueError if the three do not fit together.
    """

    shape: tuple[int, int]
    pointers: Tensor  # int64 [rows + 1]: row r keeps coordinates[pointers[r] : pointers[r + 1]]
    coordinates: Tensor  # int32 [kept], ascending within a row, each once
    _flat: dict = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self):
        """Check once what the operators then rely on."""
        rows, columns = self.shape
        ends = self.pointers[[0, -1]].tolist()
        kept = len(self.coordinates)
        if len(self.pointers) != rows + 1 or ends != [0, kept] or bool((self.pointers.diff() < 0).any()):
            raise ValueError(f"the pointers are not {rows + 1} ascending numbers from 0 to {kept}")
        if kept and (int(self.coordinates.min()) < 0 or int(self.coordinates.max()) >= columns):
            raise ValueError(f"a coordinate is outside [0, {columns})")

    def __deepcopy__(self, memo: dict) -> "Pattern":
        """Itself: a pattern does not change, and copies of a network need its lists only once."""
        return self

    def __reduce__(self) -> tuple:
        """Without its lists, which are made again where they are needed."""
        return Pattern, (self.shape, self.pointers, self.coordinates)

    @cached_property
    def by_column(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same entries by columns: pointers int64 [columns + 1], rows int32 [kept], place among the kept int32."""
        rows, columns = self.shape
        row = torch.repeat_interleave(torch.arange(rows, dtype=torch.int32), self.pointers.diff())
        order = self.coordinates.argsort(stable=True)
        starts = torch.zeros(columns + 1, dtype=torch.int64)
        starts[1:] = torch.bincount(self.coordinates, minlength=columns).cumsum(0)
        return starts, row[order], order.to(torch.int32)

    @classmethod
    def of(cls, mask: Tensor) -> "Pattern":
        """The pattern of a bool mask [rows, columns], True where an entry is kept."""
        pointers = torch.zeros(len(mask) + 1, dtype=torch.int64)
        pointers[1:] = mask.sum(1).cumsum(0)
        return cls(tuple(mask.shape), pointers, mask.nonzero()[:, 1].to(torch.int32))

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

    Differentiable in x, weights and bias. On a CPU the cost follows the kept weights until `dense_pays`, and is that
    of a dense layer then; the bits are the same on both sides and on every CPU. On a GPU it is the compiled
    dense layer. Raises TypeError for other types on a CPU (but for x under torch.autocast), ValueError for another
    width of x.
    """
    if x.shape[-1:] != pattern.shape[1:]:
        raise ValueError(f"masked_linear: x is {list(x.shape)}; its last axis must be the {pattern.shape[1]} inputs")
    if x.device.type != "cpu":
        return _compiled_dense()(x, weights, pattern.flat(weights.device), pattern.shape, bias)
    x = float32("masked_linear", x, weights, bias)
    y = _Masked.apply(x.reshape(-1, pattern.shape[1]).contiguous(), weights, bias, pattern)
    return y.reshape(*x.shape[:-1], pattern.shape[0])


def float32(name: str, x: Tensor, *parameters: Tensor | None) -> Tensor:
    """x as a masked layer of this name takes it on a CPU: like torch's float32 operators, autocast gives it float32.

    Raises TypeError for any other type, of x or of the parameters.
    """
    if torch.is_autocast_enabled("cpu") and x.dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    if others := {t.dtype for t in (x, *parameters) if t is not None and t.dtype != torch.float32}:
        given = ", ".join(sorted(map(str, others)))
        raise TypeError(f"{name}: input or weights are {given}; on a CPU both must be torch.float32 (call .float())")
    return x


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weights, bias, pattern):
        across = coordinate_major(x)
        matrix = dense_matrix(weights, pattern)
        ctx.pattern = pattern
        ctx.save_for_backward(across, weights, matrix)
        z = multiply(across, weights, pattern, matrix)
        torch.ops.winnow.shift(bias, z, False)
        return batch_major(z)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (across, weights, matrix), pattern = ctx.saved_tensors, ctx.pattern
        g_across = coordinate_major(g.contiguous())
        needs_x, _, needs_bias = ctx.needs_input_grad[:3]
        to_weights, to_x = gradients(across, weights, pattern, matrix, g_across, needs_x)
        to_bias = None
        if needs_bias:
            to_bias = g.new_empty(pattern.shape[0])
            torch.ops.winnow.unshift(None, g_across, to_bias)
        return batch_major(to_x) if needs_x else None, to_weights, to_bias, None


# ---- On coordinate-major batches, laid out as `core.padded` does -----------------------------------------------------


def reserved(floats: int) -> Tensor:
    """Zeros, float32, for long: aligned for a chunk, and much of it on huge pages where the system has them.

    Memory is taken as it is written. It is private to the process: few systems give huge pages to shared memory.
    """
    huge = 1 << 21
    if floats * 4 < huge:
        flat = torch.zeros(floats + LANES)
        return flat[-flat.data_ptr() % 64 // 4 :][:floats]
    memory = mmap.mmap(-1, floats * 4 + huge, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    flat = torch.frombuffer(memory, dtype=torch.float32)
    return flat[-flat.data_ptr() % huge // 4 :][:floats]


def room(rows: int, batch: int) -> Tensor:
    """A coordinate-major matrix [rows, batch], not filled."""
    return torch.empty(rows, LANES * (-(-batch // LANES) | 1))[:, :batch]


def coordinate_major(x: Tensor) -> Tensor:
    """x^T [d, batch] of x [batch, d]."""
    across = room(x.shape[1], len(x))
    torch.ops.winnow.coordinate_major(x, across)
    return across


def batch_major(x: Tensor) -> Tensor:
    """x^T [batch, d] of a coordinate-major x [d, batch]."""
    y = torch.empty(x.shape[1], x.shape[0])
    torch.ops.winnow.batch_major(x, y)
    return y


def dense_matrix(weights: Tensor, pattern: Pattern) -> Tensor | None:
    """The matrix of the kept weights if dense products are faster here, else None."""
    if pattern.density == 1:
        return weights.detach().view(pattern.shape)
    if not dense_pays(pattern.density):
        return None
    matrix = torch.empty(pattern.shape)
    torch.ops.winnow.expand(pattern.pointers, pattern.bits, weights, matrix)
    return matrix


def multiply(x: Tensor, weights: Tensor, pattern: Pattern, matrix: Tensor | None) -> Tensor:
    """z = W x [rows, batch] for x [columns, batch]; `matrix` is what `dense_matrix` gave.

    Raises ValueError for an x of other columns: the operators trust the coordinates of a pattern.
    """
    if x.shape[0] != pattern.shape[1]:
        raise ValueError(f"{x.shape[0]} inputs; the mask is of {pattern.shape[1]}")
    z = room(pattern.shape[0], x.shape[1])
    if matrix is None:
        torch.ops.winnow.multiply(pattern.pointers, pattern.coordinates, weights, x, z)
    else:
        torch.ops.winnow.dense_multiply(matrix, x, z)
    return z


def gradients(
    x: Tensor, weights: Tensor, pattern: Pattern, matrix: Tensor | None, g: Tensor, needs_x: bool
) -> tuple[Tensor, Tensor | None]:
    """(to_weights [kept], to_x [columns, batch] if needed) of z = W x, given g = d loss / d z [rows, batch]."""
    to_weights = torch.empty(len(pattern.coordinates))
    to_x = room(*x.shape) if needs_x else None
    if matrix is None:
        pointers, rows, order = pattern.by_column
        torch.ops.winnow.backward(pointers, rows, order, weights, x, g, to_weights, to_x)
        return to_weights, to_x
    everywhere = to_weights.view(pattern.shape) if pattern.density == 1 else torch.empty(pattern.shape)
    torch.ops.winnow.dense_backward(matrix, x, g, everywhere, to_x)
    if pattern.density < 1:
        torch.ops.winnow.collect(pattern.pointers, pattern.bits, everywhere, to_weights)
    return to_weights, to_x


def dense_pays(density: float) -> bool:
    """Whether dense products of a layer are faster on this machine: a matter of speed alone."""
    lowest, highest = BETWEEN
    return density > highest or (density > lowest and density > crossover())


@cache
def crossover() -> float:
    """The density from which they are, timed once in a process that needs to know it, in a quarter of a second.

    The time is that of this thread and the least of three, because other jobs run beside it.
    """
    size, batch = 1024, 128  # smaller layers leave the input rows of the sparse kernels in nearer caches
    pattern = Pattern.of(torch.arange(size * size).view(size, size) % 7 % 2 == 0)  # 4 of 7
    x, g = (coordinate_major(torch.ones(batch, size)) for _ in range(2))
    weights = torch.ones(len(pattern.coordinates))
    times = {True: [], False: []}
    for _ in range(3):
        for matrix in (None, torch.ones(size, size)):
            begin = time.thread_time()
            multiply(x, weights, pattern, matrix)
            gradients(x, weights, pattern, matrix, g, True)
            times[matrix is None].append(time.thread_time() - begin)
    return pattern.density * min(times[False]) / min(times[True])


def scattered(weights: Tensor, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The dense weights of a shape, differentiable, given where in them the kept ones lie (`Pattern.flat`)."""
    return weights.new_zeros(math.prod(shape)).scatter(0, flat, weights).view(shape)


def _dense(x, weights, flat, shape, bias):
    return torch.nn.functional.linear(x, scattered(weights, flat, shape), bias)


@cache
def _compiled_dense():
    return torch.compile(_dense)
