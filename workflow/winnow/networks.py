"""The networks of the image experiments, as torch modules: dense ones to score, compressed ones to train.

What the rest needs to know of a network is only `prunable`: the weights that masks apply to, by name.
"""

import itertools

import numpy as np
import torch
from torch import nn

from .core import Pattern, masked_linear
from .settings import ImageNetwork

Tensors = dict[str, torch.Tensor]


def build(model: ImageNetwork, input_shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> nn.Module:
    """The dense network at initialization: weights N(0, 2 / fan_in), biases 0.

    All weights are drawn, pruned or not, so that a seed's kept weights are the same at every fraction.
    """
    sizes = [int(np.prod(input_shape)), *model.hidden, classes]
    layers = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.utils.skip_init(nn.Linear, inputs, outputs), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
                continue
            fan_in = parameter[0].numel()
            values = rng.standard_normal(parameter.shape, dtype=np.float32) * np.float32((2 / fan_in) ** 0.5)
            parameter.copy_(torch.from_numpy(values))
    return network


class MaskedLinear(nn.Module):
    """A linear layer that stores and trains its kept weights only, on the compiled core."""

    def __init__(self, layer: nn.Linear, mask: torch.Tensor):
        super().__init__()
        pointers = torch.zeros(len(mask) + 1, dtype=torch.int64)
        pointers[1:] = mask.sum(dim=1).cumsum(dim=0)
        coordinates = mask.nonzero()[:, 1].to(torch.int32)
        self.pattern = Pattern(tuple(mask.shape), pointers, coordinates)
        self.kept = nn.Parameter(layer.weight.detach()[mask])
        self.bias = nn.Parameter(layer.bias.detach().clone())

    @property
    def weight(self) -> torch.Tensor:
        """The whole matrix, 0 where it is pruned; a copy."""
        flat = torch.zeros(self.pattern.shape[0] * self.pattern.shape[1])
        flat[self.pattern.flat(flat.device)] = self.kept.detach()
        return flat.view(self.pattern.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [n, inputs] to [n, outputs]."""
        return masked_linear(x, self.kept, self.pattern, self.bias)


def prunable(network: nn.Module, output: bool = True) -> Tensors:
    """The weights of the linear and convolution layers, input first; the last layer's only if `output`."""
    layers = nn.Linear | nn.Conv2d | MaskedLinear
    modules = [(name, m) for name, m in network.named_modules() if isinstance(m, layers)]
    return {f"{name}.weight": module.weight for name, module in (modules if output else modules[:-1])}


def apply_masks(network: nn.Module, masks: Tensors) -> None:
    """Set the pruned weights of a dense network to exactly zero."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask)


def compress(network: nn.Module, masks: Tensors) -> None:
    """Replace every linear layer that loses weights by one that has only the others; `prunable` names stay."""
    for name, mask in masks.items():
        if not mask.all():
            module = name.removesuffix(".weight")
            network.set_submodule(module, MaskedLinear(network.get_submodule(module), mask))
