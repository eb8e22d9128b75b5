"""Fully connected networks with ReLU on the core's arithmetic: the same bits on every processor."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from . import linear
from .linear import Pattern

TOGETHER = 128  # examples that `evaluate` takes at a time


@dataclass
class Layer:
    """A linear layer that has its kept weights only."""

    weights: Tensor  # float32 [kept] in the order of the pattern, updated in place
    bias: Tensor  # float32 [rows], updated in place
    pattern: Pattern

    def forward(self, x: Tensor, matrix: Tensor | None, rectify: bool) -> Tensor:
        """W x + bias, or the ReLU of it, for a coordinate-major x [columns, batch]."""
        z = linear.multiply(x, self.weights, self.pattern, matrix)
        torch.ops.winnow.shift(self.bias, z, rectify)
        return z


class Perceptron:
    """Linear layers with ReLU between them, trained by the cross-entropy of their last one.

    Batches are [batch, features] outside and stay coordinate-major between the layers.
    """

    def __init__(self, layers: list[Layer]):
        """Take layers that follow each other; their tensors are used in place."""
        self.layers = layers

    @property
    def parameters(self) -> list[Tensor]:
        """The weights and the bias of every layer, first layer first."""
        return [tensor for layer in self.layers for tensor in (layer.weights, layer.bias)]

    def gradients(self, x: Tensor, labels: Tensor) -> tuple[float, list[Tensor]]:
        """(mean cross-entropy in nats, its gradient in each of `parameters`) on a batch x [batch, d], labels int64."""
        matrices = [linear.dense_matrix(layer.weights, layer.pattern) for layer in self.layers]
        active = self._activations(x, matrices)
        g = linear.room(*active[-1].shape)
        loss, _ = torch.ops.winnow.cross_entropy(active[-1], labels, g)
        found = []
        for i in reversed(range(len(self.layers))):
            layer, to_bias = self.layers[i], torch.empty_like(self.layers[i].bias)
            torch.ops.winnow.unshift(active[i + 1] if i + 1 < len(self.layers) else None, g, to_bias)
            to_weights, g = linear.gradients(active[i], layer.weights, layer.pattern, matrices[i], g, i > 0)
            found[:0] = [to_weights, to_bias]
        return loss, found

    def descend(
        self, x: Tensor, labels: Tensor, rate: float, momentum: float, decay: float, velocities: list[Tensor]
    ) -> float:
        """One step of gradient descent on a batch, in place; returns the loss before it.

        As torch.optim.SGD: v = momentum v + gradient + decay w for `velocities`, one for each of `parameters`, or
        v = gradient + decay w if there are none; then w -= rate v.
        """
        loss, gradients = self.gradients(x, labels)
        for parameter, gradient, velocity in itertools.zip_longest(self.parameters, gradients, velocities):
            torch.ops.winnow.update(parameter, gradient, velocity, rate, momentum, decay)
        return loss

    def evaluate(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        """(mean cross-entropy in nats, share of errors) on x [n, d], labels int64; the first of equal logits wins."""
        matrices = [linear.dense_matrix(layer.weights, layer.pattern) for layer in self.layers]
        loss, wrong = 0.0, 0
        for part, expected in zip(x.split(TOGETHER), labels.split(TOGETHER), strict=True):
            logits = self._activations(part, matrices)[-1]
            mean, error = torch.ops.winnow.cross_entropy(logits, expected, None)
            loss, wrong = loss + mean * len(part), wrong + round(error * len(part))
        return loss / len(x), wrong / len(x)

    def _activations(self, x: Tensor, matrices: list[Tensor | None]) -> list[Tensor]:
        """The input and what each layer makes of it, coordinate-major."""
        active = [linear.coordinate_major(x)]
        for i, (layer, matrix) in enumerate(zip(self.layers, matrices, strict=True)):
            active.append(layer.forward(active[-1], matrix, i + 1 < len(self.layers)))
        return active
