"""Pruning at initialization, for networks of any depth: a score for every weight, then a mask of exact size.

A mask maps names of weights to bool tensors of their shape (True is kept). Higher scores are kept; equal scores are
kept in the order of layers and, within a layer, of its flattened weights, so that masks have exactly the size asked
for. Random methods compare one set of uniform numbers per seed, so that their masks are nested over fractions.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..core.feedforward import Feedforward
from ..errors import WinnowError
from ..randomness import Stream
from .networks import LAYERS, Tensors, apply_masks, on_core, prunable
from .settings import SCORED, ImagePruning

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
        raise WinnowError("pruning scores are not finite: they overflow at these initial weights")
    mask = torch.zeros(len(flat), dtype=torch.bool)
    if kept > 0:
        threshold = flat.kthvalue(len(flat) - kept + 1).values
        mask = flat > threshold
        ties = (flat == threshold).nonzero().flatten()
        mask[ties[: kept - int(mask.sum())]] = True
    parts = mask.split([score.numel() for score in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def keep_survivors(scores: Tensors, masks: Tensors, kept: int) -> Tensors:
    """The mask of the `kept` weights with the highest scores among those that `masks` keeps."""
    lowest = {name: torch.finfo(score.dtype).min for name, score in scores.items()}
    return keep_highest({n: torch.where(masks[n], score, lowest[n]) for n, score in scores.items()}, kept)


def negated(scores: Tensors) -> Tensors:
    """The scores with which the lowest of the given ones are the highest."""
    return {name: -score for name, score in scores.items()}


def keep_highest_per_layer(scores: Tensors, kept: dict[str, int]) -> Tensors:
    """The mask that keeps the given number of weights with the highest scores in each layer."""
    return {name: keep_highest({name: score}, kept[name])[name] for name, score in scores.items()}


def uniforms(weights: Tensors, rng: Stream) -> Tensors:
    """One uniform number in [0, 1) per weight."""
    return {name: torch.from_numpy(rng.uniforms(*weight.shape)) for name, weight in weights.items()}


def bernoulli(weights: Tensors, fraction: float, rng: Stream) -> Tensors:
    """Keep every weight independently with probability 1 - fraction (paper, section 2)."""
    return {name: numbers >= fraction for name, numbers in uniforms(weights, rng).items()}


def exact(weights: Tensors, fraction: float, rng: Stream) -> Tensors:
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


def erk(weights: Tensors, fraction: float, rng: Stream) -> Tensors:
    """A random mask with exactly the Erdos-Renyi-Kernel number of weights in each layer."""
    densities = erk_densities({name: tuple(weight.shape) for name, weight in weights.items()}, 1 - fraction)
    total = sum(weight.numel() for weight in weights.values())
    wanted = {name: densities[name] * weight.numel() for name, weight in weights.items()}
    kept = {name: math.floor(count) for name, count in wanted.items()}
    by_remainder = sorted(kept, key=lambda name: kept[name] - wanted[name])
    for name in by_remainder[: kept_count(total, fraction) - sum(kept.values())]:
        kept[name] += 1
    return keep_highest_per_layer(uniforms(weights, rng), kept)


def layerwise(weights: Tensors, fraction: float, rng: Stream) -> Tensors:
    """A random mask of exact size with the same share of every layer, to within 1 + (number of layers) / 2 weights.

    A weight's score is its place by its uniform number within its layer, as a share of the layer. This one order of
    all weights keeps the masks nested; rounding the layers' sizes by largest remainders would not.
    """
    scores = {}
    for name, numbers in uniforms(weights, rng).items():
        places = numbers.flatten().argsort(descending=True, stable=True).argsort()
        scores[name] = -((places.double() + 0.5) / numbers.numel()).reshape(numbers.shape)
    return keep_highest(scores, kept_count(sum(weight.numel() for weight in weights.values()), fraction))


def shuffled(mask: Tensors, rng: Stream) -> Tensors:
    """A random mask with as many weights in each layer as the given one: its entries, shuffled within the layer."""
    kept = {name: int(m.sum()) for name, m in mask.items()}
    return keep_highest_per_layer(uniforms(mask, rng), kept)


def magnitude(weights: Tensors) -> Tensors:
    """|theta|."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def snip(network: nn.Module, weights: Tensors, inputs: torch.Tensor, labels: torch.Tensor) -> Tensors:
    """|theta * g|, g the gradient of the mean loss (Lee et al. 2019, connection sensitivity)."""
    own, names = on_core(network), [name for name, _ in network.named_parameters()]
    summed = _summed(_gradients_on_core(own, batch) for batch in _batches(inputs, labels))
    gradients = dict(zip(names, summed, strict=True))
    return {name: (w.detach() * gradients[name].view_as(w)).abs() for name, w in weights.items()}


def grasp(network: nn.Module, weights: Tensors, inputs: torch.Tensor, labels: torch.Tensor) -> Tensors:
    """theta * Hg, signed: Wang et al. (2020) remove the weights with the largest -theta * Hg.

    As in their software, logits are divided by a temperature. Without it (784-300-100-10, fraction 0.6) the loss after
    pruning starts at 240 nats and does not get below 1.9. The first pass over the examples takes g, the second Hg.
    All in double precision: what processors round differently there ranks nothing.
    """
    network, inputs = copy.deepcopy(network).double(), inputs.double()
    weights = {name: weight for name, weight in prunable(network).items() if name in weights}
    of_batch = partial(_gradients, network, weights)
    whole = _summed(of_batch(batch) for batch in _batches(inputs, labels))

    def product(batch: tuple) -> tuple[torch.Tensor, ...]:
        along = sum((g * w).sum() for g, w in zip(of_batch(batch, create_graph=True), whole, strict=True))
        return torch.autograd.grad(along, list(weights.values()))

    products = _summed(product(batch) for batch in _batches(inputs, labels))
    return {n: w.detach() * p for (n, w), p in zip(weights.items(), products, strict=True)}


def ranked(scores: Tensors) -> Tensors:
    """The scores over the largest one, as float32: what processors round differently in double ranks nothing."""
    largest = max(float(score.abs().max()) for score in scores.values())
    return {name: (score / (largest or 1.0)).float() for name, score in scores.items()}


def _batches(inputs: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """The examples in batches of SCORED or a little less, all of one size or one more, with their shares."""
    parts = math.ceil(len(inputs) / SCORED)
    for x, y in zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True):
        yield x, y, len(x) / len(inputs)


def _gradients(
    network: nn.Module, weights: Tensors, batch: tuple, create_graph: bool = False
) -> tuple[torch.Tensor, ...]:
    """The gradient of what a batch adds to the mean loss of grasp over all examples."""
    inputs, labels, share = batch
    loss = share * cross_entropy(network(inputs) / GRASP_TEMPERATURE, labels)
    return torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)


def _gradients_on_core(network: Feedforward, batch: tuple) -> list[torch.Tensor]:
    """The gradient of what a batch adds to the mean loss over all examples, for every parameter."""
    inputs, labels, share = batch
    return [share * gradient for gradient in network.gradients(inputs, labels)[1]]


def _summed(parts: Iterable[tuple[torch.Tensor, ...]]) -> list[torch.Tensor]:
    """Tensor by tensor the sum of some lists of tensors, of which only one is in memory at a time."""
    total = None
    for part in parts:
        total = list(part) if total is None else torch._foreach_add(total, part)
    return total


def synflow(
    network: nn.Module, input_shape: tuple[int, ...], kept: int, output: bool = True, inverted: bool = False
) -> Tensors:
    """The mask of SynFlow (Tanaka et al. 2020): no data, pruned in 100 rounds to an exponentially falling size.

    Each round scores |theta * dR/dtheta| for R = the summed output of the network with |parameters| on an input of
    ones, in double precision and evaluation mode, ranked in single. `inverted`: each round keeps the lowest scores.
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
        ranks = negated(ranked(scores)) if inverted else ranked(scores)
        # Decimals: a power of floats has the last bit of a C library.
        masks = keep_survivors(ranks, masks, round(total * (Decimal(kept) / total) ** (Decimal(k) / SYNFLOW_ROUNDS)))
        apply_masks(linear, masks)
    return masks


def imp_level(weights: Tensors, masks: Tensors, fraction: float, inverted: bool = False) -> Tensors:
    """The mask of the next level of iterative magnitude pruning: of the weights that `masks` keeps, those with the
    largest trained magnitude (`inverted`: the smallest), as many as the fraction (of all) leaves.

    Raises WinnowError when the masks keep fewer than that.
    """
    kept = kept_count(sum(mask.numel() for mask in masks.values()), fraction)
    if kept > sum(int(mask.sum()) for mask in masks.values()):
        raise WinnowError(f"imp: fraction {fraction} keeps more weights than the level before it")
    return keep_survivors(negated(magnitude(weights)) if inverted else magnitude(weights), masks, kept)


def check_level(masks: Tensors | None, weights: Tensors, fraction: float) -> None:
    """Raise WinnowError unless masks are those that iterative magnitude pruning can have reached at a fraction."""
    if masks is None:
        raise WinnowError(f"--masks: missing; imp starts at fraction {fraction} from what the level below it wrote")
    shapes, wanted = ({name: tuple(t.shape) for name, t in tensors.items()} for tensors in (masks, weights))
    if shapes != wanted:
        raise WinnowError(f"--masks: of another network: its layers are {shapes}, must be {wanted}")
    total, found = sum(mask.numel() for mask in masks.values()), sum(int(mask.sum()) for mask in masks.values())
    if found != kept_count(total, fraction):
        kept = kept_count(total, fraction)
        raise WinnowError(f"--masks: keep {found} of {total} weights; imp keeps {kept} at fraction {fraction}")


@dataclass(frozen=True)
class Problem:
    """What a pruning method may look at: a network at initialization, its training set, and its random stream."""

    network: nn.Module
    fraction: float
    inputs: torch.Tensor
    labels: torch.Tensor
    rng: Stream
    prune_output: bool
    score_examples: int
    inverted: bool
    imp_mask: Tensors | None
    """What iterative magnitude pruning reached at this fraction, for the methods that start from it."""

    @property
    def weights(self) -> Tensors:
        """The weights that are pruned, by name."""
        return prunable(self.network, self.prune_output)

    @property
    def kept(self) -> int:
        """How many of them stay."""
        return kept_count(sum(weight.numel() for weight in self.weights.values()), self.fraction)

    def keep(self, scores: Tensors) -> Tensors:
        """The mask of as many weights with the highest scores, or with the lowest if scores are inverted."""
        return keep_highest(negated(scores) if self.inverted else scores, self.kept)


def _at_random(mask: Callable[[Tensors, float, Stream], Tensors]) -> Callable[[Problem], Tensors]:
    return lambda problem: mask(problem.weights, problem.fraction, problem.rng)


def _on_examples(score: Callable[..., Tensors]) -> Callable[[Problem], Tensors]:
    """The method that keeps the weights with the highest scores on some training examples, drawn per seed."""

    def method(problem: Problem) -> Tensors:
        chosen = torch.from_numpy(problem.rng.permutation(len(problem.inputs))[: problem.score_examples])
        scored = copy.deepcopy(problem.network)  # its batch norm takes note of the examples
        weights = prunable(scored, problem.prune_output)
        scores = score(scored, weights, problem.inputs[chosen], problem.labels[chosen])
        return problem.keep(ranked(scores))

    return method


def _of_imp(mask: Callable[[Problem], Tensors]) -> Callable[[Problem], Tensors]:
    """A method that starts from the mask that iterative magnitude pruning reached, which must be of this fraction."""

    def method(problem: Problem) -> Tensors:
        check_level(problem.imp_mask, problem.weights, problem.fraction)
        return mask(problem)

    return method


METHODS: dict[str, Callable[[Problem], Tensors]] = {
    "bernoulli": _at_random(bernoulli),
    "exact": _at_random(exact),
    "layerwise": _at_random(layerwise),
    "erk": _at_random(erk),
    "magnitude": lambda problem: problem.keep(magnitude(problem.weights)),
    "snip": _on_examples(snip),
    "grasp": _on_examples(grasp),
    "synflow": lambda problem: synflow(
        problem.network, tuple(problem.inputs.shape[1:]), problem.kept, problem.prune_output, problem.inverted
    ),
    "imp": _of_imp(lambda problem: problem.imp_mask),
    "shuffled_imp": _of_imp(lambda problem: shuffled(problem.imp_mask, problem.rng)),
}


def draw(
    pruning: ImagePruning,
    network: nn.Module,
    fraction: float,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    rng: Stream,
    imp_mask: Tensors | None = None,
) -> Tensors:
    """The mask of a network at initialization by the configured method; at fraction 0 every method keeps all.

    `inputs` and `labels` are the training set; `imp_mask`, which `imp` takes as it is and `shuffled_imp` shuffles, is
    the mask that iterative magnitude pruning reached at this fraction. `check`: scores are inverted, or the mask is
    shuffled here (Su et al. 2020; Frankle et al. 2021); redrawn weights are another network, and no other mask.
    """
    if fraction == 0:
        whole = prunable(network, pruning.prune_output)
        return {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in whole.items()}
    how = (pruning.prune_output, pruning.score_examples, pruning.check == "inverted", imp_mask)
    mask = METHODS[pruning.method](Problem(network, fraction, inputs, labels, rng, *how))
    return shuffled(mask, rng) if pruning.check == "shuffled" else mask


def density(masks: Tensors) -> float:
    """The achieved share of kept weights, over all layers that are pruned."""
    return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def collapsed_layers(masks: Tensors) -> int:
    """How many layers keep no weight at all."""
    return sum(not mask.any() for mask in masks.values())


def connected_share(network: nn.Module, masks: Tensors) -> float:
    """The share of the kept weights that lie on a path of kept weights from input to output; 0 if none is kept.

    Paths lead from unit to unit, in convolutions from channel to channel (Vysogorets & Kempe 2023, effective
    sparsity). With weights 1 where they are kept and an input of ones, a weight lies on a path where the gradient of
    the summed output is positive. After every layer, numbers and gradients are replaced by whether they are positive,
    so that the number of paths does not overflow. `network` is as it was built: biases 0, batch norm the identity.
    """
    paths = copy.deepcopy(network).double().eval()
    for name, module in list(paths.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            paths.set_submodule(name, nn.Identity())
        elif isinstance(module, LAYERS):
            kept = masks.get(f"{name}.weight", torch.ones_like(module.weight, dtype=torch.bool))
            if isinstance(module, nn.Conv2d):
                module.stride, module.padding = (1, 1), (0, 0)
                kept = kept.flatten(2).any(dim=2)[:, :, None, None]
            module.weight = nn.Parameter(kept.double())
            module.register_forward_hook(lambda module, inputs, output: _Positive.apply(output))
    weights = prunable(paths)
    ones = torch.ones_like(next(iter(weights.values()))[:1])
    gradients = torch.autograd.grad(paths(ones).sum(), [weights[name] for name in masks])
    on_paths = sum(int((mask & (g > 0)).sum()) for g, mask in zip(gradients, masks.values(), strict=True))
    return on_paths / max(1, sum(int(mask.sum()) for mask in masks.values()))


class _Positive(torch.autograd.Function):
    """Whether a number is positive, as 1 or 0, and of its gradient the same."""

    @staticmethod
    def forward(context, numbers: torch.Tensor) -> torch.Tensor:
        return (numbers > 0).to(numbers)

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> torch.Tensor:
        return (gradient > 0).to(gradient)
