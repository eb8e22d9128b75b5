"""Pruning at initialization, for networks of any depth: a score for every weight, then a mask of exact size.

A mask maps names of weights to bool tensors of their shape (True is kept). Higher scores are kept; equal scores are
kept in the order of layers and, within a layer, of its flattened weights, so that masks have exactly the size asked
for. Random methods compare one set of uniform numbers per seed, so that their masks are nested over fractions.
"""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..errors import WinnowError
from .networks import Tensors, apply_masks, perceptron, prunable
from .settings import ImagePruning

SYNFLOW_ROUNDS = 100
GRASP_TEMPERATURE = 200.0


def kept_count(total: int, fraction: float) -> int:
    """How many of `total` weights stay when a fraction is pruned."""
    return round((1 - fraction) * total)


def keep_highest(scores: Tensors, kept: int) -> Tensors:
    """The mask of exactly `kept` weights with the highest scores over all layers; ties are kept by index.

    Raises WinnowError when a score is not a number.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    if not torch.isfinite(flat).all():
        raise WinnowError("pruning scores are not finite: the network overflows before training")
    mask = torch.zeros(len(flat), dtype=torch.bool)
    if kept > 0:
        threshold = flat.kthvalue(len(flat) - kept + 1).values
        mask = flat > threshold
        ties = (flat == threshold).nonzero().flatten()
        mask[ties[: kept - int(mask.sum())]] = True
    parts = mask.split([score.numel() for score in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def keep_survivors(scores: Tensors, masks: Tensors, kept: int) -> Tensors:
    """The mask of the `kept` weights with the highest scores (none of them negative) among those that `masks` keeps."""
    return keep_highest({name: torch.where(masks[name], score, -1.0) for name, score in scores.items()}, kept)


def keep_highest_per_layer(scores: Tensors, kept: dict[str, int]) -> Tensors:
    """The mask that keeps the given number of weights with the highest scores in each layer."""
    return {name: keep_highest({name: score}, kept[name])[name] for name, score in scores.items()}


def uniforms(weights: Tensors, rng: np.random.Generator) -> Tensors:
    """One uniform number in [0, 1) per weight."""
    return {name: torch.from_numpy(rng.random(weight.shape, dtype=np.float32)) for name, weight in weights.items()}


def bernoulli(weights: Tensors, fraction: float, rng: np.random.Generator) -> Tensors:
    """Keep every weight independently with probability 1 - fraction (paper, section 2)."""
    return {name: numbers >= fraction for name, numbers in uniforms(weights, rng).items()}


def exact(weights: Tensors, fraction: float, rng: np.random.Generator) -> Tensors:
    """Keep exactly the share 1 - fraction of all weights, chosen uniformly over the whole network."""
    numbers = uniforms(weights, rng)
    return keep_highest(numbers, kept_count(sum(weight.numel() for weight in weights.values()), fraction))


def erk_densities(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Erdos-Renyi-Kernel densities (Evci et al. 2020): proportional to sum(shape) / prod(shape), at most 1.

    Layers that would exceed 1 stay dense and the others share the rest, so that the mean density is the one asked for.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    dense = set()
    while True:
        sparse = [name for name in shapes if name not in dense]
        budget = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        scale = budget / sum(raw[name] * sizes[name] for name in sparse) if sparse else 0.0
        over = [name for name in sparse if scale * raw[name] > 1]
        if not over:
            return {name: 1.0 if name in dense else scale * raw[name] for name in shapes}
        dense.add(max(over, key=raw.get))


def erk(weights: Tensors, fraction: float, rng: np.random.Generator) -> Tensors:
    """A random mask with exactly the Erdos-Renyi-Kernel number of weights in each layer."""
    densities = erk_densities({name: tuple(weight.shape) for name, weight in weights.items()}, 1 - fraction)
    total = sum(weight.numel() for weight in weights.values())
    wanted = {name: densities[name] * weight.numel() for name, weight in weights.items()}
    kept = {name: math.floor(count) for name, count in wanted.items()}
    by_remainder = sorted(kept, key=lambda name: kept[name] - wanted[name])
    for name in by_remainder[: kept_count(total, fraction) - sum(kept.values())]:
        kept[name] += 1
    return keep_highest_per_layer(uniforms(weights, rng), kept)


def layerwise(weights: Tensors, fraction: float, rng: np.random.Generator) -> Tensors:
    """A random mask with exactly the same share of every layer."""
    kept = {name: kept_count(weight.numel(), fraction) for name, weight in weights.items()}
    return keep_highest_per_layer(uniforms(weights, rng), kept)


def shuffled(mask: Tensors, rng: np.random.Generator) -> Tensors:
    """A random mask with as many weights in each layer as the given one: its entries, shuffled within the layer."""
    kept = {name: int(m.sum()) for name, m in mask.items()}
    return keep_highest_per_layer(uniforms(mask, rng), kept)


def magnitude(weights: Tensors) -> Tensors:
    """|theta|."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def snip(network: nn.Module, weights: Tensors, inputs: torch.Tensor, labels: torch.Tensor) -> Tensors:
    """|theta * g|, g the gradient of the mean loss (Lee et al. 2019, connection sensitivity)."""
    if own := perceptron(network):
        found = own.gradients(inputs.flatten(1), labels)[1][::2]  # without those of the biases
        gradients = [g.view_as(w) for g, w in zip(found, weights.values(), strict=False)]
    else:
        gradients = torch.autograd.grad(cross_entropy(network(inputs), labels), list(weights.values()))
    return {n: (w.detach() * g).abs() for (n, w), g in zip(weights.items(), gradients, strict=True)}


def grasp(network: nn.Module, weights: Tensors, inputs: torch.Tensor, labels: torch.Tensor) -> Tensors:
    """theta * Hg, signed: Wang et al. (2020) remove the weights with the largest -theta * Hg.

    As in their software, logits are divided by a temperature. Without it (784-300-100-10, fraction 0.6) the loss after
    pruning starts at 240 nats and does not get below 1.9. Scores are computed in double precision.
    """
    exact = copy.deepcopy(network).double()
    doubles = {name: weight for name, weight in prunable(exact).items() if name in weights}
    loss = cross_entropy(exact(inputs.double()) / GRASP_TEMPERATURE, labels)
    gradients = torch.autograd.grad(loss, list(doubles.values()), create_graph=True)
    squared = sum((g * g.detach()).sum() for g in gradients)
    products = torch.autograd.grad(squared, list(doubles.values()))
    return {n: w.detach() * p for (n, w), p in zip(doubles.items(), products, strict=True)}


def ranked(scores: Tensors) -> Tensors:
    """The scores over the largest one, as float32: what processors round differently in double ranks nothing."""
    largest = max(float(score.abs().max()) for score in scores.values())
    return {name: (score / (largest or 1.0)).float() for name, score in scores.items()}


def synflow(network: nn.Module, input_shape: tuple[int, ...], kept: int, output: bool = True) -> Tensors:
    """The mask of SynFlow (Tanaka et al. 2020): no data, pruned in 100 rounds to an exponentially falling size.

    Each round scores |theta * dR/dtheta| for R = the summed output of the network with |parameters| on an input of
    ones, in double precision and evaluation mode, ranked in single.
    """
    linear = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        for tensor in linear.state_dict().values():
            tensor.abs_()
    weights = prunable(linear, output)
    ones = torch.ones((1, *input_shape), dtype=torch.float64)
    total = sum(weight.numel() for weight in weights.values())
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    for k in range(1, SYNFLOW_ROUNDS + 1):
        gradients = torch.autograd.grad(linear(ones).sum(), list(weights.values()))
        scores = {n: (w.detach() * g).abs() for (n, w), g in zip(weights.items(), gradients, strict=True)}
        masks = keep_survivors(ranked(scores), masks, round(total * (kept / total) ** (k / SYNFLOW_ROUNDS)))
        apply_masks(linear, masks)
    return masks


def imp_level(weights: Tensors, masks: Tensors, fraction: float) -> Tensors:
    """The mask of the next level of iterative magnitude pruning: of the weights that `masks` keeps, those with the
    largest trained magnitude, as many as the fraction (of all) leaves.

    Raises WinnowError when the masks keep fewer than that.
    """
    kept = kept_count(sum(mask.numel() for mask in masks.values()), fraction)
    if kept > sum(int(mask.sum()) for mask in masks.values()):
        raise WinnowError(f"imp: fraction {fraction} keeps more weights than the level before it")
    return keep_survivors(magnitude(weights), masks, kept)


RANDOM = {"bernoulli": bernoulli, "exact": exact, "layerwise": layerwise, "erk": erk}
ON_EXAMPLES = {"snip": snip, "grasp": grasp}


def draw(
    pruning: ImagePruning,
    network: nn.Module,
    fraction: float,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    rng: np.random.Generator,
    imp_mask: Tensors | None = None,
) -> Tensors:
    """The mask of a network at initialization by the configured method.

    `inputs` and `labels` are the training set; `imp_mask`, which `imp` takes as it is and `shuffled_imp` shuffles, is
    the mask that iterative magnitude pruning reached at this fraction (none at fraction 0).
    """
    weights, method = prunable(network, pruning.prune_output), pruning.method
    if fraction == 0:
        return {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
    if method in ("imp", "shuffled_imp"):
        return imp_mask if method == "imp" else shuffled(imp_mask, rng)
    if method in RANDOM:
        return RANDOM[method](weights, fraction, rng)
    kept = kept_count(sum(weight.numel() for weight in weights.values()), fraction)
    if method == "magnitude":
        return keep_highest(magnitude(weights), kept)
    if method == "synflow":
        return synflow(network, tuple(inputs.shape[1:]), kept, pruning.prune_output)
    chosen = torch.from_numpy(rng.permutation(len(inputs))[: pruning.score_examples])
    scored = copy.deepcopy(network)  # its batch norm takes note of the examples
    weights = prunable(scored, pruning.prune_output)
    return keep_highest(ranked(ON_EXAMPLES[method](scored, weights, inputs[chosen], labels[chosen])), kept)


def density(masks: Tensors) -> float:
    """The achieved share of kept weights, over all layers that are pruned."""
    return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def collapsed_layers(masks: Tensors) -> int:
    """How many layers keep no weight at all: nothing of the input gets through such a network."""
    return sum(not mask.any() for mask in masks.values())
