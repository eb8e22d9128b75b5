"""The compiled masked core: full-batch gradient descent of a two-layer network on its surviving weights only.

The network has M hidden neurons and K outputs; an example reads P columns of the inputs (its patches):

    z[r, c] = <w_r, x_c> over the kept weights        s(z) = max(0, z)^power
    F_k(i)  = sum_r output[k, r] * sum_p s(z[r, patches[i, p]])

With P = 2, output = block one-hot and power 3 this is the paper's network (section 2); P = 1 is a fully connected one.
A step costs what the kept weights cost: in one pass each of them reads its input row, takes its gradient, is updated
and adds to the next step's preactivations. `reference.py` says the same in thirty lines of dense torch.

Everything is deterministic by construction: the same bits on any number of cores, on AVX2 and on AVX-512, however a run
is cut into calls. Environment: WINNOW_ISA = v4 | v3 | plain, WINNOW_TILE = coordinates per tile (0: none) and WINNOW_L2
= bytes of the second-level cache override the choice of instruction set, tiling and fetching; none changes a bit of any
result. docs/CORE.md says how a step works and how fast it is.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import WinnowError
from ..files import used
from .convolution import masked_conv2d
from .linear import LANES, Pattern, masked_linear, reserved

__all__ = ["Examples", "Network", "Pattern", "Trace", "descend", "evaluate", "isa", "load"]
__all__ += ["masked_conv2d", "masked_linear", "padded", "preactivations"]

OPERATORS = ("descend", "evaluate", "forward", "isa", "coordinate_major", "batch_major", "multiply", "backward")
OPERATORS += ("dense_multiply", "dense_backward", "expand", "collect", "shift", "unshift", "cross_entropy", "update")
OPERATORS += ("normalize", "unnormalize", "average", "unaverage")
OPERATORS += ("to_planes", "from_planes", "convolve", "convolve_backward")
LOSSES = {"cross_entropy": 0, "logistic": 1}
REDUCTIONS = ("mean", "sum")
STATUS = ("running", "below", "diverged")
BESIDE = Path(__file__).with_name("libwinnow.so")  # where the wheel has it


@dataclass
class Network:
    """A pruned two-layer network, compressed by rows: neuron r keeps weights[pointers[r] : pointers[r + 1]]."""

    pointers: Tensor  # int64 [M + 1]
    coordinates: Tensor  # int32 [kept], ascending within a neuron, each once
    weights: Tensor  # float32 [kept], updated in place
    output: Tensor  # float32 [K, M], updated in place if trained; an exact 0 is an absent connection and stays 0
    power: int  # of the activation max(0, z)^power, >= 1


@dataclass
class Examples:
    """What the network sees. Coordinate-major inputs that `padded` made are used in place; others are copied once."""

    inputs: Tensor  # float32 [d, C]
    patches: Tensor  # int32 [n, P], columns of inputs
    labels: Tensor  # int64 [n]: 0..K-1 (cross_entropy), -1 or 1 (logistic)
    _copy: tuple = field(default=(None, None, None), repr=False, compare=False)

    def padded(self) -> Tensor:
        """The inputs with every row on a 64-byte boundary; the copy is kept until the inputs change."""
        source, version, copy = self._copy
        if source is not self.inputs or version != self.inputs._version:
            copy = _padded(self.inputs)
            self._copy = (self.inputs, self.inputs._version, copy)
        return copy


@dataclass
class Trace:
    """The course of one call of `descend`."""

    losses: Tensor  # float64 [steps + 1], mean over the examples in nats, before each update and after the last
    errors: Tensor  # float64 [steps + 1], share of misclassified examples
    steps: int  # updates made
    status: str  # running | below | diverged


def load(library: Path = BESIDE) -> None:
    """Make the operators of a library that `build.build` wrote available; a second call does nothing.

    A wheel brings one along, which is the default. Raises WinnowError if it is missing, does not load, or lacks an
    operator because its sources were older.
    """
    if all(hasattr(torch.ops.winnow, name) for name in OPERATORS):
        return
    if not Path(library).is_file():
        raise WinnowError(f"{library}: the compiled core is missing; build it first (python workflow core --out FILE)")
    try:
        torch.ops.load_library(str(Path(used(library)).resolve()))
    except OSError as error:
        noexec = os.statvfs(library).f_flag & os.ST_NOEXEC
        reason = "its disk lets nothing run (noexec)" if noexec else error.__cause__ or error  # torch hides the cause
        raise WinnowError(f"{library}: the compiled core does not load: {reason}") from None
    if missing := [name for name in OPERATORS if not hasattr(torch.ops.winnow, name)]:
        raise WinnowError(f"{library}: the compiled core is stale, it lacks {', '.join(missing)}; build it again")
    try:
        isa()
    except RuntimeError:
        said = "must be v4 (AVX-512), v3 (AVX2) or plain, and one that this processor has"
        raise WinnowError(f"WINNOW_ISA = {os.environ.get('WINNOW_ISA')}: {said}") from None


def isa() -> str:
    """The instruction set in use: v4 (AVX-512), v3 (AVX2) or plain."""
    return torch.ops.winnow.isa()


def padded(d: int, columns: int) -> Tensor:
    """Zeros [d, columns], float32, laid out as the core reads them: fill it in blocks and nothing is ever copied.

    Rows start on 64-byte boundaries an odd number of cache lines apart (an even one would crowd the same cache sets),
    on huge pages where the system has them. Memory is taken as rows are written.
    """
    stride = LANES * (-(-max(columns, 1) // LANES) | 1)
    return reserved(d * stride).view(d, stride)[:, :columns]


def descend(
    network: Network,
    examples: Examples,
    *,
    steps: int,
    learning_rate: float | Tensor,
    loss: str,
    reduction: str,
    train_output: bool = False,
    stop_below: float | None = None,
    coefficients: Tensor | None = None,
) -> Trace:
    """Up to `steps` steps of full-batch gradient descent, in place, in one call of the operator.

    Every update uses the gradients at the old parameters, for both layers. The gradient is that of the mean or of the
    sum over the examples; the losses of the trace are always means. A learning rate for each output, [K], multiplies
    the gradient that comes through that output. The run stops at the first step whose loss is
    <= `stop_below` (status 'below') or not finite ('diverged'), with the weights of that step. Several calls give the
    bits of one. An error counts 1 unless the largest logit, the first one among equals, is the label's; for the
    logistic loss 1 if y F < 0 and 1/2 if F = 0.

    `coefficients`, float32 [M, C], has the update's coefficient of every column added to it (the paper's Definition
    14): w_r(t) = w_r(0) + mask_r * sum_c coefficients[r, c] x_c. For a column that one example reads, times |x~_c|^2,
    they are zeta (j = y_i) and omega (j != y_i); for a signal column, times |mu|^2, gamma.

    Raises ValueError for an unknown loss or reduction, RuntimeError for tensors of the wrong type, shape or range.
    """
    _known("loss", loss, LOSSES)
    _known("reduction", reduction, REDUCTIONS)
    rates = torch.as_tensor(learning_rate, dtype=torch.float64).expand(len(network.output)).contiguous()
    losses, errors = torch.empty(2, steps + 1, dtype=torch.float64).unbind()
    taken, status = torch.ops.winnow.descend(
        network.pointers,
        network.coordinates,
        network.weights,
        network.output,
        network.power,
        examples.padded(),
        examples.patches,
        examples.labels,
        steps,
        rates / len(examples.labels) if reduction == "mean" else rates,
        LOSSES[loss],
        -1.0 if stop_below is None else stop_below,
        train_output,
        coefficients,
        losses,
        errors,
    )
    return Trace(losses[: taken + 1], errors[: taken + 1], taken, STATUS[status])


def evaluate(network: Network, examples: Examples, *, loss: str) -> tuple[float, float, Tensor, Tensor]:
    """Of a network (mean loss in nats, error, logits float64 [K, n], loss of every example float64 [n]).

    Errors count as in `descend`.
    Columns are taken in blocks, so test sets of any size need no more memory than their inputs.
    """
    _known("loss", loss, LOSSES)
    logits = torch.empty(len(network.output), len(examples.labels), dtype=torch.float64)
    losses = torch.empty(len(examples.labels), dtype=torch.float64)
    value, error = torch.ops.winnow.evaluate(
        network.pointers,
        network.coordinates,
        network.weights,
        network.output,
        network.power,
        examples.padded(),
        examples.patches,
        examples.labels,
        LOSSES[loss],
        logits,
        losses,
    )
    return value, error, logits, losses


def preactivations(network: Network, inputs: Tensor) -> Tensor:
    """z = <w_r, x_c> over the kept weights, float32 [M, C], for inputs [d, C]."""
    z = padded(len(network.pointers) - 1, inputs.shape[1])
    torch.ops.winnow.forward(network.pointers, network.coordinates, network.weights, _padded(inputs), z)
    return z


def _padded(inputs: Tensor) -> Tensor:
    d, columns = inputs.shape
    stride, room = inputs.stride(0), inputs.untyped_storage().nbytes() // 4 - inputs.storage_offset()
    whole = stride % LANES == 0 and stride >= columns and d * stride <= room
    if inputs.dtype == torch.float32 and inputs.stride(1) == 1 and whole and inputs.data_ptr() % 64 == 0:
        return inputs
    copy = padded(d, columns)
    copy.copy_(inputs)
    return copy


def _known(key: str, value: str, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}, not one of {', '.join(allowed)}")
