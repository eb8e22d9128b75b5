"""The networks of the image experiments, as torch modules: dense ones to score, compressed ones to train.

What the rest needs to know of a network is only `prunable`: the weights that masks apply to, by name.
"""

import itertools
import math
from functools import cache

import numpy as np
import torch
from torch import nn

from ..core import Pattern, feedforward
from ..core.modules import Masked, MaskedConv2d, MaskedLinear, fits
from ..errors import WinnowError
from ..randomness import Stream
from .settings import VGG_CONVOLUTIONS, ImageNetwork

Tensors = dict[str, torch.Tensor]
LAYERS = (nn.Linear, nn.Conv2d)  # the layers whose weights can be pruned


def build(model: ImageNetwork, input_shape: tuple[int, ...], classes: int, rng: Stream) -> nn.Module:
    """The dense network at initialization: weights N(0, 2 / fan_in), biases 0, batch norm the identity.

    All weights are drawn, pruned or not, so that a seed's kept weights are the same at every fraction.
    """
    network = ARCHITECTURES[model.architecture](model, input_shape, classes)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LAYERS):
                fan_in = module.weight[0].numel()
                values = rng.normals(*module.weight.shape) * np.float32(math.sqrt(2 / fan_in))
                module.weight.copy_(torch.from_numpy(values))
                if module.bias is not None:
                    module.bias.zero_()
    return network


def mlp(model: ImageNetwork, input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Fully connected layers with ReLU between them."""
    sizes = [int(np.prod(input_shape)), *model.hidden, classes]
    layers = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.utils.skip_init(nn.Linear, inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def vgg(model: ImageNetwork, input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """VGG for small images (Simonyan & Zisserman 2015): batch norm after every convolution, one linear layer.

    Max pooling halves the image after each of the first four stages while its shorter side has at least 4 pixels
    (32 x 32 gets four poolings, 8 x 8 two), and what is left is averaged.
    """
    channels, side = input_shape[0], min(input_shape[1:])
    layers = []
    for stage, convolutions in enumerate(VGG_CONVOLUTIONS[model.depth]):
        if stage > 0 and side >= 4:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        for _ in range(convolutions):
            width = model.width * min(2**stage, 8)
            layers += [convolution(channels, width), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, *_head(channels, classes))


def resnet(model: ImageNetwork, input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """ResNet for small images (He et al. 2016, section 4.2): three stages of (depth - 2) / 6 residual blocks.

    Where a block changes the shape, its shortcut is a 1 x 1 convolution with batch norm (their option B).
    """
    channels = model.width
    layers = [convolution(input_shape[0], channels), nn.ReLU()]
    for stage, block in itertools.product(range(3), range((model.depth - 2) // 6)):
        width = model.width * 2**stage
        layers.append(Residual(channels, width, stride=2 if stage > 0 and block == 0 else 1))
        channels = width
    return nn.Sequential(*layers, *_head(channels, classes))


class Residual(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(convolution(inputs, outputs, stride), nn.ReLU(), convolution(outputs, outputs))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, stride, kernel=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [n, inputs, height, width] to [n, outputs, height / stride, width / stride]."""
        return torch.relu(self.body(x) + self.shortcut(x))


def convolution(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """A convolution, without the bias that the batch norm after it would take away."""
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, BatchNorm(outputs))


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that says in one line what it cannot do: torch's error names neither key nor remedy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [n, channels, height, width] to that shape. Raises WinnowError in training where n height width is 1."""
        if self.training and x[:, 0].numel() == 1:
            raise WinnowError(feedforward.ALONE)
        return super().forward(x)


def _head(channels: int, classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.utils.skip_init(nn.Linear, channels, classes)


ARCHITECTURES = {"mlp": mlp, "vgg": vgg, "resnet": resnet}


def on_core(network: nn.Module) -> feedforward.Feedforward | None:
    """A float32 network on a CPU as the core trains it, with the same tensors; None for others."""
    ours = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in network.parameters())
    if not ours:
        return None
    layers = _layers(network)
    entry = [] if isinstance(layers[0], feedforward.Flatten) else [feedforward.ToPlanes()]
    return feedforward.Feedforward([*entry, *layers])


def _layers(module: nn.Module) -> list[feedforward.Layer]:
    """What the core makes of a module: a ReLU and a pooling are part of the layer before them.

    Raises WinnowError for a part that the core does not compute, or not as torch does.
    """
    match module:
        case nn.Sequential():
            found = []
            for part in module:
                before = found[-1] if found else None
                if not _has(part, before):
                    after = f" after {type(before).__name__}" if before else ""
                    raise WinnowError(f"model.architecture: the core has no {part}{after} (docs/EXTEND.md)")
                if isinstance(part, nn.ReLU):
                    before.rectify = True
                elif isinstance(part, nn.MaxPool2d):
                    before.pooled = True
                elif not (isinstance(part, nn.Flatten) and found):  # averages are flat
                    found += _layers(part)
            return found
        case nn.Flatten():
            return [feedforward.Flatten()]
        case MaskedLinear() | nn.Linear():
            weights, pattern = _kept(module)
            return [feedforward.Linear(weights, module.bias.detach(), pattern)]
        case MaskedConv2d() | nn.Conv2d():
            return [feedforward.Convolution(*_kept(module), module.stride[0])]
        case nn.BatchNorm2d():
            seen = module.running_mean, module.running_var, module.num_batches_tracked
            return [feedforward.Norm(module.weight.detach(), module.bias.detach(), *seen, module.eps)]
        case nn.AdaptiveAvgPool2d():
            return [feedforward.Average()]
        case Residual():
            shortcut = [] if isinstance(module.shortcut, nn.Identity) else _layers(module.shortcut)
            return [feedforward.Residual(_layers(module.body), shortcut)]
    raise TypeError(f"the core has no {type(module).__name__}")


def _has(part: nn.Module, before: feedforward.Layer | None) -> bool:
    """Whether the core computes a part of a network as torch does, given the layer that it has made before it."""
    match part:
        case nn.ReLU():
            return isinstance(before, feedforward.Linear | feedforward.Norm)
        case nn.MaxPool2d():
            how = part.kernel_size, part.stride, part.padding, part.dilation, part.ceil_mode
            rectified = isinstance(before, feedforward.Norm) and before.rectify and not before.pooled
            return rectified and how == (2, 2, 0, 1, False)
        case nn.Flatten():
            return before is None or isinstance(before, feedforward.Average)
        case MaskedLinear() | nn.Linear():
            return part.bias is not None
        case MaskedConv2d() | nn.Conv2d():
            return part.bias is None and (isinstance(part, Masked) or fits(part))
        case nn.BatchNorm2d():
            usual = part.affine and part.track_running_stats and part.momentum == feedforward.MOMENTUM
            return usual and isinstance(before, feedforward.Convolution)
        case nn.AdaptiveAvgPool2d():
            return part.output_size in (1, (1, 1))
    return isinstance(part, nn.Sequential | Residual)


def _kept(layer: nn.Module) -> tuple[torch.Tensor, Pattern]:
    """The kept weights of a linear layer or a convolution, and which they are."""
    if isinstance(layer, Masked):
        return layer.kept.detach(), layer.pattern
    weight = layer.weight.detach()
    return weight.view(-1), _whole(tuple(weight.flatten(1).shape))


@cache
def _whole(shape: tuple[int, int]) -> Pattern:
    return Pattern.of(torch.ones(shape, dtype=torch.bool))


def prunable(network: nn.Module, output: bool = True) -> Tensors:
    """The weights of the linear and convolution layers, input first; the last layer's only if `output`."""
    modules = [(name, m) for name, m in network.named_modules() if isinstance(m, (*LAYERS, Masked))]
    return {f"{name}.weight": module.weight for name, module in (modules if output else modules[:-1])}


def apply_masks(network: nn.Module, masks: Tensors) -> None:
    """Set the pruned weights of a dense network to exactly zero."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask)


def compress(network: nn.Module, masks: Tensors) -> None:
    """Make a network train its kept weights only, on the device that it is on; `prunable` names stay.

    On a CPU a layer is replaced by one that has only the kept weights. On a GPU it stays dense: pruned weights start
    at 0 and their gradient is made 0, so that no momentum or decay moves them.
    """
    for name, mask in masks.items():
        if mask.all():
            continue
        module = name.removesuffix(".weight")
        layer = network.get_submodule(module)
        if layer.weight.device.type == "cpu":
            kept = MaskedLinear if isinstance(layer, nn.Linear) else MaskedConv2d
            network.set_submodule(module, kept(layer, mask))
        else:
            hold_at_zero(layer.weight, mask)


def hold_at_zero(weight: torch.Tensor, mask: torch.Tensor) -> None:
    """Make pruned weights 0, and their gradient."""
    kept = torch.zeros_like(weight, requires_grad=False).copy_(mask)  # of the same device and layout
    with torch.no_grad():
        weight.mul_(kept)
    weight.register_hook(kept.mul)
