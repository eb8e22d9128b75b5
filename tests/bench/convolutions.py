"""What `make bench` times of convolutions alone: all of a network's, forward and backward, against their peers."""

import json
import statistics
import sys

import torch
from torch.nn.functional import conv2d

from winnow.core import Pattern, convolution
from winnow.core.convolution import Planes
from winnow.core.feedforward import Memory

BATCH = 128
DENSITIES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03)
CRASHES = 512  # channels on both sides, which SparseProp does not survive


def vgg16(width: int) -> dict[tuple, int]:
    """How often each convolution occurs in VGG-16 on 32 x 32 images: (inputs, outputs, side, stride, kernel)."""
    w = width
    shapes = [(3, w, 32), (w, w, 32), (w, 2 * w, 16), (2 * w, 2 * w, 16), (2 * w, 4 * w, 8), (4 * w, 4 * w, 8)]
    shapes += [(4 * w, 8 * w, 4), (8 * w, 8 * w, 4), (8 * w, 8 * w, 2)]
    return {(*shape, 1, 3): n for shape, n in zip(shapes, (1, 1, 1, 1, 1, 2, 1, 2, 3), strict=True)}


def resnet20(width: int) -> dict[tuple, int]:
    """The same of ResNet-20."""
    found = {(3, width, 32, 1, 3): 1, (width, width, 32, 1, 3): 6}
    for w, side in ((width, 32), (2 * width, 16)):
        found |= {(w, 2 * w, side, 2, 3): 1, (2 * w, 2 * w, side // 2, 1, 3): 5, (w, 2 * w, side, 2, 1): 1}
    return found


NETWORKS = {"vgg16": vgg16(16), "vgg64": vgg16(64), "resnet20": resnet20(16)}


def dense(shape: tuple, seconds):
    """torch's convolution with its gradients, in the memory format that is faster here."""
    inputs, outputs, side, stride, kernel = shape
    ways = []
    for form in (torch.contiguous_format, torch.channels_last):
        x, w = torch.randn(BATCH, inputs, side, side), torch.randn(outputs, inputs, kernel, kernel)
        x = x.to(memory_format=form).requires_grad_(inputs > 3)
        w = w.to(memory_format=form).requires_grad_()
        ways.append(with_gradients(lambda x=x, w=w: conv2d(x, w, None, stride, kernel // 2), x, w))
    return min(ways, key=lambda way: min(seconds(way) for _ in range(4)))


def with_gradients(forward, x: torch.Tensor, weights: torch.Tensor):
    """A forward and a backward pass; the first convolution of a network needs no gradient of its input."""
    push = torch.randn_like(forward())
    wanted = [weights, x] if x.requires_grad else [weights]
    return lambda: torch.autograd.grad(forward(), wanted, push)


def core(shape: tuple, mask: torch.Tensor):
    """The core's, in buffers that stay, as between the layers of a network."""
    inputs, _, side, stride, _ = shape
    planes, pattern, memory = Planes(inputs, BATCH, side, side), Pattern.of(mask.flatten(1)), Memory()
    output, weights = planes.convolved(pattern, stride), torch.randn(int(mask.sum()))
    x, to_x, gradient = memory.planes(planes).normal_(), memory.planes(planes), torch.empty_like(weights)
    z, g = memory.planes(output), memory.planes(output).normal_()

    def both():
        convolution.forward(pattern, stride, weights, x, z)
        convolution.backward(pattern, stride, weights, x, g, gradient, to_x if inputs > 3 else None)

    return both


def sparseprop(shape: tuple, mask: torch.Tensor, peer, seconds):
    """SparseProp's, in the faster of its two orders of loops; None where it has none that computes the convolution."""
    inputs, outputs, side, stride, kernel = shape
    if isinstance(peer, str) or inputs == outputs == CRASHES:
        return None
    layer = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    layer.weight.data.mul_(mask)
    x, ways = torch.randn(BATCH, inputs, side, side, requires_grad=inputs > 3), []
    for over_positions in (False, True):
        theirs = peer.SparseConv2d.from_dense(layer, vectorizing_over_on=over_positions)
        if torch.allclose(theirs(x), layer(x), atol=1e-3):
            ways.append(with_gradients(lambda theirs=theirs: theirs(x), x, theirs.W_val))
    return min(ways, key=lambda way: min(seconds(way) for _ in range(2)), default=None)


def measure(rounds: int, seconds, peer) -> list[dict]:
    """A row a density: how many times as fast a network's convolutions are, and the slowest of all, as torch's dense.

    `peer` is what `layers.sparseprop` found. A network's ratio is the median over rounds of what a round of each of
    its convolutions takes, as often as it occurs.
    """
    rows = {density: {"density": density, "layers": {}} for density in DENSITIES}
    for name, layers in NETWORKS.items():
        timings = {density: {} for density in DENSITIES}
        for shape in layers:
            by_torch = dense(shape, seconds)
            for density in DENSITIES:
                mask = torch.rand(shape[1], shape[0], shape[4], shape[4]) < density
                ways = {"torch": by_torch, "core": core(shape, mask)}
                if other := sparseprop(shape, mask, peer, seconds):
                    ways["sparseprop"] = other
                one = [{way: seconds(action) for way, action in ways.items()} for _ in range(rounds + 1)][1:]
                timings[density][shape] = one
                rows[density]["layers"][f"{name} {shape}"] = statistics.median(t["torch"] / t["core"] for t in one)
        for density, row in rows.items():
            row |= network(name, layers, timings[density])
    for row in rows.values():
        row["slowest"] = min(row["layers"].values())
        print(json.dumps(row), file=sys.stderr)
    return list(rows.values())


def network(name: str, layers: dict, timings: dict) -> dict:
    """The columns of a network, from the timings of its convolutions."""

    def ratio(way: str) -> float | None:
        taken = [shape for shape in layers if all(way in one for one in timings[shape])]
        sums = [
            [sum(layers[shape] * one[key] for shape, one in zip(taken, round_, strict=True)) for key in (way, "core")]
            for round_ in zip(*(timings[shape] for shape in taken), strict=True)
        ]
        return statistics.median(theirs / ours for theirs, ours in sums) if sums else None

    found = {name: ratio("torch")}
    if (theirs := ratio("sparseprop")) is not None:
        found[f"{name}_sparseprop"] = theirs
    ours = sum(n * statistics.median(t["core"] for t in timings[shape]) for shape, n in layers.items())
    return found | {f"{name}_ms": ours * 1e3}
