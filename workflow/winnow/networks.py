"""The networks of the image experiments, as torch modules.

What the rest needs to know of a network is only `prunable`: the weights that masks apply to, by name.
"""

import itertools

import numpy as np
import torch
from torch import nn

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


def prunable(network: nn.Module, output: bool = True) -> Tensors:
    """The weights of the linear and convolution layers, input first; the last layer's only if `output`."""
    modules = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return {f"{name}.weight": module.weight for name, module in (modules if output else modules[:-1])}


def apply_masks(network: nn.Module, masks: Tensors) -> None:
    """Set the pruned weights to exactly zero."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask)
