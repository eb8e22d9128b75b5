"""Feedforward networks on the core's arithmetic: fully connected and convolutional ones, the same bits everywhere.

A network is a list of layers. Batches are [batch, features] or [batch, channels, height, width] outside; between the
layers they stay as the core lays them out: a row for every feature, or `Planes`.
"""

import itertools
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import WinnowError
from . import convolution, linear
from .convolution import Planes
from .linear import Pattern

TOGETHER = 128  # examples that `evaluate` takes at a time
MOMENTUM = 0.1  # of batch norm: the share by which running statistics move in a step
ALONE = (
    "training.batch_size: leaves a batch of one image, which batch norm cannot take statistics of where feature maps "
    "are 1 x 1; choose one that leaves more (pruning.score_examples likewise)"
)


class Memory:
    """Memory that is used again once its tensor is forgotten: fresh pages take as long to get as a pass over them."""

    def __init__(self):
        """Without any yet."""
        self.free: dict[int, list[Tensor]] = {}  # by their size

    def planes(self, planes: Planes) -> Tensor:
        """A tensor in this layout, not filled; in the smallest memory that is free and has room for it, else in new."""
        wanted = planes.size
        size = min((size for size, blocks in self.free.items() if size >= wanted and blocks), default=wanted)
        blocks = self.free.setdefault(size, [])
        block = blocks.pop() if blocks else linear.reserved(size)
        view = planes.view(block)
        weakref.finalize(view, blocks.append, block).atexit = False
        return view


@dataclass
class Pass:
    """How a batch goes forward, and what its layers share."""

    training: bool  # whether gradients are to follow
    statistics: float | None = None  # share by which running statistics move to those of the batch; None: they are used
    memory: Memory = field(default_factory=Memory)
    batch: int = 0
    matrices: dict["Linear", Tensor | None] = field(default_factory=dict)  # of weights that do not change in between


class Layer:
    """One step of a network. In training `forward` keeps what `backward` needs, once.

    `backward` takes d loss / d (what forward returned), which it may overwrite, leaves the gradients of `parameters` in
    `gradients` and returns d loss / d x, or None unless `needs_x`.
    """

    parameters: list[Tensor] = []  # updated in place
    gradients: list[Tensor] = []

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """What the layer makes of x."""
        raise NotImplementedError

    def backward(self, g: Tensor, how: Pass, needs_x: bool) -> Tensor | None:
        """The gradients, given that of the output."""
        raise NotImplementedError


class Flatten(Layer):
    """At the entry of a network: a batch, coordinate-major."""

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """[features, batch] of [batch, ...]."""
        return linear.coordinate_major(x.flatten(1))


class ToPlanes(Layer):
    """At the entry of a network: images in planes."""

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """Planes of [batch, channels, height, width]."""
        planes = Planes(x.shape[1], len(x), *x.shape[2:])
        to = how.memory.planes(planes)
        torch.ops.winnow.to_planes(x.contiguous(), to, None)
        return to


class Linear(Layer):
    """A linear layer that has its kept weights only, perhaps with a ReLU."""

    def __init__(self, weights: Tensor, bias: Tensor, pattern: Pattern, rectify: bool = False):
        """Weights, float32 [kept] in the order of the pattern, and the bias, float32 [rows], are used in place."""
        self.parameters = [weights, bias]
        self.pattern, self.rectify = pattern, rectify

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """W x + bias, or the ReLU of it, for a coordinate-major x [columns, batch]."""
        weights, bias = self.parameters
        if self not in how.matrices:
            how.matrices[self] = linear.dense_matrix(weights, self.pattern)
        z = linear.multiply(x, weights, self.pattern, how.matrices[self])
        torch.ops.winnow.shift(bias, z, self.rectify)
        if how.training:
            self.kept = x, z if self.rectify else None
        return z

    def backward(self, g: Tensor, how: Pass, needs_x: bool) -> Tensor | None:
        """As `Layer.backward`."""
        (weights, bias), (x, active), self.kept = self.parameters, self.kept, None
        to_bias = torch.empty_like(bias)
        torch.ops.winnow.unshift(active, g, to_bias)
        to_weights, to_x = linear.gradients(x, weights, self.pattern, how.matrices[self], g, needs_x)
        self.gradients = [to_weights, to_bias]
        return to_x


class Convolution(Layer):
    """A 3 x 3 or 1 x 1 convolution, padded by half its kernel, that has its kept weights only."""

    def __init__(self, weights: Tensor, pattern: Pattern, stride: int):
        """Weights, float32 [kept] in the order of the pattern, are used in place."""
        self.parameters = [weights]
        self.pattern, self.stride = pattern, stride

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """The convolution of x in planes."""
        z = how.memory.planes(_planes(x, how).convolved(self.pattern, self.stride))
        convolution.forward(self.pattern, self.stride, self.parameters[0], x, z)
        if how.training:
            self.kept = x
        return z

    def backward(self, g: Tensor, how: Pass, needs_x: bool, more: Tensor | None = None) -> Tensor | None:
        """As `Layer.backward`; `more` slopes of x are added to, in place."""
        x, self.kept = self.kept, None
        (weights,), self.gradients = self.parameters, [torch.empty_like(self.parameters[0])]
        to_x = how.memory.planes(_planes(x, how)) if needs_x and more is None else more
        add = more is not None
        convolution.backward(self.pattern, self.stride, weights, x, g, self.gradients[0], to_x, add)
        return to_x


@dataclass(eq=False)
class Norm(Layer):
    """Batch norm of what a convolution made, perhaps with a ReLU, and with the largest of 2 x 2 places of that."""

    gain: Tensor  # float32 [channels], as those that follow; all are updated in place
    bias: Tensor
    running_mean: Tensor
    running_variance: Tensor
    batches: Tensor  # int64, how many were seen
    epsilon: float
    rectify: bool = False
    pooled: bool = False

    @property
    def parameters(self) -> list[Tensor]:
        """Gain and bias."""
        return [self.gain, self.bias]

    def forward(self, z: Tensor, how: Pass, other: Tensor | None = None) -> Tensor:
        """The normalised z, plus `other`, and what follows."""
        planes = _planes(z, how)
        if how.statistics is not None:
            if planes.batch * planes.height * planes.width == 1:
                raise WinnowError(ALONE)
            self.batches.add_(1)
        mean, scale = torch.empty_like(self.bias), torch.empty_like(self.bias)
        if self.pooled:
            planes = replace(planes, height=planes.height // 2, width=planes.width // 2)
        y, after = how.memory.planes(planes), (self.rectify, self.pooled)
        running = self.running_mean, self.running_variance, self.epsilon
        torch.ops.winnow.normalize(
            z, how.batch, self.gain, self.bias, *running, how.statistics, other, *after, mean, scale, y
        )
        if how.training:
            self.kept = z, mean, scale, y if other is not None and self.rectify else None
        return y

    def backward(self, g: Tensor, how: Pass, needs_x: bool = True) -> Tensor:
        """As `Layer.backward`; where there was an `other`, g becomes its slopes."""
        (z, mean, scale, y), self.kept = self.kept, None
        self.gradients = [torch.empty_like(self.gain), torch.empty_like(self.bias)]
        torch.ops.winnow.unnormalize(
            z, how.batch, self.gain, self.bias, mean, scale, y, self.rectify, self.pooled, g, *self.gradients
        )
        return z


class Average(Layer):
    """The mean over positions."""

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """[channels, batch], coordinate-major, of planes."""
        y = linear.room(len(x), how.batch)
        torch.ops.winnow.average(x, how.batch, y)
        self.planes = _planes(x, how)
        return y

    def backward(self, g: Tensor, how: Pass, needs_x: bool) -> Tensor:
        """As `Layer.backward`."""
        to_x = how.memory.planes(self.planes)
        torch.ops.winnow.unaverage(g, to_x)
        return to_x


class Residual(Layer):
    """relu(body(x) + shortcut(x)).

    The body begins with a convolution, which adds to the slopes of the shortcut, and ends with a batch norm, which adds
    the shortcut and takes the ReLU.
    """

    def __init__(self, body: list[Layer], shortcut: list[Layer]):
        """Layers of both; a shortcut without any is the identity."""
        self.first, *self.between, self.last = body
        self.last.rectify = True
        self.shortcut = shortcut

    @property
    def layers(self) -> list[Layer]:
        """All in the order of their parameters."""
        return [self.first, *self.between, self.last, *self.shortcut]

    @property
    def parameters(self) -> list[Tensor]:
        """Those of all layers."""
        return [parameter for layer in self.layers for parameter in layer.parameters]

    @property
    def gradients(self) -> list[Tensor]:
        """Those of all layers."""
        return [gradient for layer in self.layers for gradient in layer.gradients]

    def forward(self, x: Tensor, how: Pass) -> Tensor:
        """Of planes."""
        z = forward([self.first, *self.between], x, how)
        return self.last.forward(z, how, forward(self.shortcut, x, how))

    def backward(self, g: Tensor, how: Pass, needs_x: bool = True) -> Tensor:
        """As `Layer.backward`."""
        between = backward(self.between, self.last.backward(g, how), how, True)
        return self.first.backward(between, how, True, backward(self.shortcut, g, how, True))


class Feedforward:
    """Layers that follow each other, trained by the cross-entropy of what the last one returns."""

    def __init__(self, layers: list[Layer]):
        """Take layers, whose tensors are used in place."""
        self.layers, self.memory = layers, Memory()

    @property
    def parameters(self) -> list[Tensor]:
        """Those of every layer, first layer first."""
        return [parameter for layer in self.layers for parameter in layer.parameters]

    def gradients(self, x: Tensor, labels: Tensor) -> tuple[float, list[Tensor]]:
        """(mean cross-entropy in nats, its gradient in each of `parameters`) on a batch x, labels int64."""
        how = Pass(training=True, statistics=MOMENTUM, memory=self.memory, batch=len(x))
        logits = forward(self.layers, x, how)
        g = linear.room(*logits.shape)
        loss, _ = torch.ops.winnow.cross_entropy(logits, labels, g)
        backward(self.layers[1:], g, how, False)
        return loss, [gradient for layer in self.layers for gradient in layer.gradients]

    def step(
        self, x: Tensor, labels: Tensor, rate: float, momentum: float, decay: float, velocities: list[Tensor]
    ) -> float:
        """One step of gradient descent on a batch, in place; returns the mean loss before it, nats.

        x is float32 [batch, features] or [batch, channels, height, width], labels int64 [batch].
        As torch.optim.SGD: v = momentum v + gradient + decay w for `velocities`, one for each of `parameters`, or
        v = gradient + decay w if there are none; then w -= rate v.
        """
        loss, gradients = self.gradients(x, labels)
        for parameter, gradient, velocity in itertools.zip_longest(self.parameters, gradients, velocities):
            torch.ops.winnow.update(parameter, gradient, velocity, rate, momentum, decay)
        return loss

    def evaluate(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        """(mean cross-entropy in nats, share of errors) on x, labels int64; the first of equal logits wins.

        Batch norm uses its running statistics.
        """
        how = Pass(training=False, memory=self.memory)
        loss, wrong = 0.0, 0
        for part, expected in zip(x.split(TOGETHER), labels.split(TOGETHER), strict=True):
            how.batch = len(part)
            mean, error = torch.ops.winnow.cross_entropy(forward(self.layers, part, how), expected, None)
            loss, wrong = loss + mean * len(part), wrong + round(error * len(part))
        return loss / len(x), wrong / len(x)

    def take_statistics(self, batches: Iterable[Tensor]) -> None:
        """Make running statistics the mean over batches of theirs."""
        for seen, x in enumerate(batches):
            how = Pass(training=False, statistics=1 / (seen + 1), memory=self.memory, batch=len(x))
            forward(self.layers, x, how)


def forward(layers: list[Layer], x: Tensor, how: Pass) -> Tensor:
    """What layers make of x, one after the other."""
    for layer in layers:
        x = layer.forward(x, how)
    return x


def backward(layers: list[Layer], g: Tensor, how: Pass, needs_x: bool) -> Tensor | None:
    """d loss / d x of what `forward` made of it, or None unless `needs_x`."""
    for i, layer in reversed(list(enumerate(layers))):
        g = layer.backward(g, how, needs_x or i > 0)
    return g


def _planes(x: Tensor, how: Pass) -> Planes:
    return Planes(x.shape[0], how.batch, *x.shape[2:4])
