"""Pruned layers as torch modules, for any network and any optimizer: they have and train their kept weights only.

On a CPU they compute in float32 on the compiled core, the same bits on every processor. On a GPU they are dense layers,
compiled by torch, with zeros for the pruned weights. The first one loads the core unless a program has loaded its own.
"""

import torch
from torch import Tensor, nn

from . import load
from .convolution import masked_conv2d
from .linear import Pattern, masked_linear


class Masked(nn.Module):
    """What both have: `kept`, the weights in the order of the mask, `bias` and the mask's pattern.

    The pattern is part of the state: a state_dict is loaded only by a layer of the same mask.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, mask: Tensor):
        """Take the kept weights and the bias, if there is one, of a dense layer; `mask` is True where a weight is kept.

        Raises ValueError if the mask is not bool or not of the shape of the weights, WinnowError without a core.
        """
        super().__init__()
        load()
        self.shape = layer.weight.shape
        if mask.dtype != torch.bool or mask.shape != self.shape:
            raise ValueError(
                f"{type(self).__name__}: the mask is {mask.dtype} {list(mask.shape)}; it must be torch.bool "
                f"{list(self.shape)}, True where a weight is kept"
            )
        self.pattern = Pattern.of(mask.cpu().flatten(1))
        device = layer.weight.device
        self.kept = nn.Parameter(layer.weight.detach()[mask.to(device)])
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.register_buffer("pointers", self.pattern.pointers.to(device))
        self.register_buffer("coordinates", self.pattern.coordinates.to(device))

    def __setstate__(self, state: dict) -> None:
        """Of a module that was saved as a whole."""
        super().__setstate__(state)
        load()

    @property
    def weight(self) -> Tensor:
        """All weights, 0 where they are pruned; a copy."""
        flat = torch.zeros(self.shape.numel(), dtype=self.kept.dtype, device=self.kept.device)
        flat[self.pattern.flat(flat.device)] = self.kept.detach()
        return flat.view(self.shape)

    def extra_repr(self) -> str:
        """As the dense layer's, and the share of kept weights."""
        about = f"{self.shape[1]}, {self.shape[0]}, bias={self.bias is not None}"
        return f"{about}, kept={len(self.kept)}, density={self.pattern.density:.3g}"

    def _load_from_state_dict(self, state, prefix, metadata, strict, missing, unexpected, errors):
        """As torch's, but kept weights come with their pattern, and it is this layer's."""
        own = {"pointers": self.pointers, "coordinates": self.coordinates}
        given = {name: state[prefix + name] for name in own if prefix + name in state}
        same = given.keys() == own.keys() and all(
            given[name].shape == tensor.shape and bool((given[name].to(tensor.device) == tensor).all())
            for name, tensor in own.items()
        )
        if same or not (given or prefix + "kept" in state):
            return super()._load_from_state_dict(state, prefix, metadata, strict, missing, unexpected, errors)
        what = "of another mask" if given.keys() == own.keys() else "without their pattern (pointers, coordinates)"
        errors.append(f"{prefix}kept: these are weights {what}; load them into a layer of the mask that they are of")


class MaskedLinear(Masked):
    """A linear layer of kept weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        return masked_linear(x, self.kept, self.pattern, self.bias)


def fits(layer: nn.Conv2d) -> bool:
    """Whether the core has a convolution."""
    side = layer.kernel_size[0]
    ours = layer.kernel_size in ((1, 1), (3, 3)) and layer.stride in ((1, 1), (2, 2)) and layer.groups == 1
    zeros = layer.padding in ((side // 2,) * 2, "same") and layer.padding_mode == "zeros"
    return ours and zeros and layer.dilation == (1, 1)


class MaskedConv2d(Masked):
    """A convolution of kept weights: kernels of 3 x 3 or 1 x 1, padded with zeros by half of that, stride 1 or 2."""

    def __init__(self, layer: nn.Conv2d, mask: Tensor):
        """As of `Masked`; raises ValueError for other convolutions, too."""
        if not fits(layer):
            raise ValueError(
                f"MaskedConv2d: {layer} has no kernel of 3 x 3 or 1 x 1, no stride of 1 or 2, no zeros as padding by "
                "half its kernel, or it has groups or dilation"
            )
        super().__init__(layer, mask)
        self.stride = layer.stride

    def extra_repr(self) -> str:
        """As `Masked`, with kernel and stride."""
        return f"{super().extra_repr()}, kernel_size={tuple(self.shape[2:])}, stride={self.stride}"

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, inputs, height, width] to [n, outputs, height / stride, width / stride], rounded up."""
        if x.dim() != 4 or x.shape[1] != self.shape[1]:
            raise ValueError(f"masked_conv2d: x is {list(x.shape)}; it must be [n, {self.shape[1]}, height, width]")
        return masked_conv2d(x, self.kept, self.pattern, self.stride[0], self.bias)
