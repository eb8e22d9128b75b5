import copy
import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from winnow.errors import WinnowError
from winnow.figures import style
from winnow.images import networks, pruning
from winnow.images.methods import AFTER_TRAINING
from winnow.images.settings import ImageNetwork, ImagePruning
from winnow.randomness import Stream

pytestmark = pytest.mark.usefixtures("library")

ALL_AT_START = ("bernoulli", "exact", "layerwise", "erk", "magnitude", "snip", "grasp", "synflow")


def test_every_allowed_method_is_there():
    """With its function, its marker in figures, and in the tests below, which run every method at initialization;
    those that take trained weights have tests of their own."""
    allowed = sorted(get_args(ImagePruning.model_fields["method"].annotation))
    assert sorted(pruning.METHODS) == allowed
    assert sorted((*ALL_AT_START, *AFTER_TRAINING)) == allowed
    assert len(set(style.MARKERS)) >= len(allowed)


def rng(seed=0):
    return Stream(seed)


@pytest.fixture
def small():
    """A 6-5-4-3 network, 12 examples of it."""
    network = networks.build(ImageNetwork(hidden=[5, 4]), (1, 2, 3), 3, rng())
    inputs = torch.from_numpy(rng(1).normals(12, 1, 2, 3))
    return network, inputs, torch.from_numpy(rng(2).integers(3, 12))


def total(masks):
    return sum(int(mask.sum()) for mask in masks.values())


def test_only_the_weights_of_layers_can_be_pruned(small):
    network = small[0]
    assert [tuple(w.shape) for w in networks.prunable(network).values()] == [(5, 6), (4, 5), (3, 4)]
    assert [tuple(w.shape) for w in networks.prunable(network, output=False).values()] == [(5, 6), (4, 5)]


@given(st.integers(0, 40), st.integers(0, 3))
def test_exactly_as_many_are_kept_with_ties_by_index(kept, values):
    flat = rng(kept).integers(values + 1, 40).astype(np.float32)
    tensors = {"a": torch.from_numpy(flat[:24].reshape(4, 6)), "b": torch.from_numpy(flat[24:])}
    mask = pruning.keep_highest(tensors, kept)
    got = np.concatenate([mask["a"].numpy().ravel(), mask["b"].numpy()])
    expected = np.zeros(40, bool)
    expected[sorted(range(40), key=lambda i: (-flat[i], i))[:kept]] = True
    assert np.array_equal(got, expected)


def test_scores_that_overflow_are_refused():
    with pytest.raises(WinnowError, match="not finite"):
        pruning.keep_highest({"a": torch.tensor([1.0, float("nan")])}, 1)


def test_a_synflow_score_that_overflows_is_not_blamed_on_the_network():
    network = networks.build(ImageNetwork(hidden=[30] * 500), (1, 2, 3), 3, rng())
    inputs, labels = torch.randn(12, 1, 2, 3), torch.arange(12) % 3
    assert torch.isfinite(network(inputs)).all()
    with pytest.raises(WinnowError, match="pruning scores are not finite: they overflow at these initial weights"):
        pruning.draw(ImagePruning(method="synflow"), network, 0.5, inputs, labels, rng())


@settings(max_examples=25)
@given(st.sampled_from([m for m in ALL_AT_START if m != "bernoulli"]), st.floats(0, 0.99), st.booleans())
def test_every_method_has_the_exact_size(method, fraction, output):
    network = networks.build(ImageNetwork(hidden=[5, 4]), (1, 2, 3), 3, rng())
    inputs, labels = torch.randn(12, 1, 2, 3), torch.arange(12) % 3
    how = ImagePruning(method=method, prune_output=output)
    masks = pruning.draw(how, network, fraction, inputs, labels, rng())
    assert total(masks) == round((1 - fraction) * (62 if output else 50))
    assert len(masks) == (3 if output else 2)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=25), st.lists(st.floats(0, 0.999), min_size=2, max_size=6))
def test_layerwise_masks_have_the_same_share_of_every_layer_and_are_nested(sizes, fractions):
    weights = {str(i): torch.empty(size) for i, size in enumerate(sizes)}
    masks = [pruning.layerwise(weights, fraction, rng(3)) for fraction in sorted(fractions)]
    for mask, fraction in zip(masks, sorted(fractions), strict=True):
        assert total(mask) == round((1 - fraction) * sum(sizes))
        assert all(abs(int(m.sum()) - (1 - fraction) * m.numel()) < 1 + len(sizes) / 2 for m in mask.values())
    for larger, smaller in itertools.pairwise(masks):
        assert all((larger[name] | ~smaller[name]).all() for name in larger)


@pytest.mark.parametrize("method", ["bernoulli", "exact", "layerwise", "magnitude", "snip", "grasp"])
def test_masks_of_one_seed_are_nested(small, method):
    network, inputs, labels = small
    masks = [
        pruning.draw(ImagePruning(method=method), network, fraction, inputs, labels, rng(7))
        for fraction in (0, 0.3, 0.6, 0.9)
    ]
    for larger, smaller in itertools.pairwise(masks):
        assert all((larger[name] | ~smaller[name]).all() for name in larger)


@pytest.mark.parametrize("method", ["magnitude", "snip", "grasp", "synflow"])
def test_a_shuffled_mask_keeps_as_many_weights_in_every_layer(small, method):
    network, inputs, labels = small
    plain, moved = (
        pruning.draw(ImagePruning(method=method, check=check), network, 0.5, inputs, labels, rng(7))
        for check in ("none", "shuffled")
    )
    assert [int(mask.sum()) for mask in moved.values()] == [int(mask.sum()) for mask in plain.values()]
    assert any((moved[name] != plain[name]).any() for name in plain)


@pytest.mark.parametrize("method", ["magnitude", "snip", "grasp"])
def test_inverted_scores_keep_the_lowest(small, method):
    """Scores without ties: what is kept of one half are the weights that the other half leaves out."""
    network, inputs, labels = small
    plain, lowest = (
        pruning.draw(ImagePruning(method=method, check=check), network, 0.5, inputs.abs(), labels, rng(7))
        for check in ("none", "inverted")
    )
    assert total(lowest) == total(plain) == 31
    if method == "magnitude":
        sizes = torch.cat([weight.detach().abs().flatten() for weight in networks.prunable(network).values()])
        kept = torch.cat([mask.flatten() for mask in lowest.values()])
        assert sizes[kept].max() < sizes[~kept].min()
    else:  # dead neurons have scores of 0, of which ties are kept by index
        assert sum(int((plain[name] & lowest[name]).sum()) for name in plain) < 31


def test_inverted_synflow_keeps_the_lowest_flow_in_every_round():
    """Two paths, of weights 3 and of weights 1. The output layer goes first, and then nothing flows any more."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
        network[3].weight.copy_(torch.tensor([[3.0, 1.0]]))
    highest, lowest = (pruning.synflow(network, (1, 1, 2), 2, inverted=inverted) for inverted in (False, True))
    assert highest["1.weight"].tolist() == [[True, False], [False, False]]
    assert highest["3.weight"].tolist() == [[True, False]]
    assert total(lowest) == 2 and not lowest["3.weight"].any()


def test_an_inverted_level_of_imp_keeps_the_smallest_of_what_is_left():
    weights = {"a": torch.tensor([4.0, -1.0, 3.0, 2.0]), "b": torch.tensor([[0.5, -6.0]])}
    masks = {"a": torch.tensor([True, False, True, True]), "b": torch.tensor([[True, True]])}
    for inverted, kept in (
        (True, [[False, False, True, True], [[True, False]]]),
        (False, [[True, False, True, False], [[False, True]]]),
    ):
        level = pruning.imp_level(weights, masks, 0.5, inverted)
        assert [mask.tolist() for mask in level.values()] == kept


def test_a_check_needs_a_score():
    for method in ("bernoulli", "erk", "shuffled_imp"):
        with pytest.raises(ValueError, match=f"check: shuffled needs a method by score: .*; not {method}"):
            ImagePruning(method=method, check="shuffled")
    assert "check" not in ImagePruning().model_dump()  # other experiments' settings keep their bytes


def test_bernoulli_keeps_each_weight_with_probability_one_minus_fraction():
    masks = pruning.bernoulli({"a": torch.empty(300, 400)}, 0.7, rng())
    assert abs(pruning.density(masks) - 0.3) < 4 * (0.3 * 0.7 / 120_000) ** 0.5
    assert abs(masks["a"][:, :200].float().mean() - 0.3) < 0.01


def test_erk_densities_of_the_usual_networks():
    def of(*sizes):
        shapes = {str(i): shape[::-1] for i, shape in enumerate(itertools.pairwise(sizes))}
        return list(pruning.erk_densities(shapes, 0.1).values())

    assert of(784, 300, 100, 10) == pytest.approx([0.0796, 0.2302, 1], abs=5e-5)
    assert of(784, 1024, 1024, 10) == pytest.approx([0.1027, 0.0891, 1], abs=5e-5)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.floats(0.001, 1))
def test_erk_densities_have_the_mean_that_was_asked_for(sizes, density):
    shapes = {str(i): shape for i, shape in enumerate(itertools.pairwise(sizes))}
    densities = pruning.erk_densities(shapes, density)
    weights = [a * b for a, b in shapes.values()]
    mean = np.average(list(densities.values()), weights=weights)
    assert mean == pytest.approx(density, rel=1e-9)
    assert max(densities.values()) <= 1 + 1e-9


def test_magnitude_keeps_the_largest_weights(small):
    network, inputs, labels = small
    weights = networks.prunable(network)
    masks = pruning.draw(ImagePruning(method="magnitude"), network, 0.5, inputs, labels, rng())
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    dropped = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    assert kept.min() >= dropped.max()


def double(network):
    return network.double(), networks.prunable(network)


def test_snip_is_the_effect_of_scaling_one_connection(small):
    """Lee et al. 2019, eq. 5: |dL(c * theta) / dc| at c = 1, by central differences for every weight."""
    network, inputs, labels = small
    computed = pruning.snip(network, networks.prunable(network), inputs, labels)
    network, weights = double(network)
    inputs = inputs.double()
    for name, weight in weights.items():
        for index in np.ndindex(*weight.shape):
            value, losses = weight[index].item(), []
            for c in (1 - 1e-5, 1 + 1e-5):
                with torch.no_grad():
                    weight[index] = c * value
                    losses.append(cross_entropy(network(inputs), labels).item())
                    weight[index] = value
            assert computed[name][index].item() == pytest.approx(abs(losses[1] - losses[0]) / 2e-5, abs=1e-7)


def test_what_processors_round_differently_in_double_decides_no_rank():
    scores = {"a": torch.tensor([0.5, 1e200, 1e200 * (1 + 1e-15)], dtype=torch.float64), "b": torch.zeros(1).double()}
    ranked = pruning.ranked(scores)
    assert all(score.dtype == torch.float32 for score in ranked.values())
    assert pruning.keep_highest(ranked, 1)["a"].tolist() == [False, True, False]
    assert pruning.ranked({"a": torch.zeros(2).double()})["a"].tolist() == [0, 0]


@pytest.mark.parametrize("output", [True, False])
@pytest.mark.parametrize(
    "model",
    [{"hidden": [12, 9]}, {"architecture": "vgg", "depth": 11, "width": 3}, {"architecture": "resnet", "depth": 8}],
)
def test_snip_is_that_of_autograd_in_double_precision(model, output):
    network = networks.build(ImageNetwork(**{"width": 3} | model), (1, 4, 4), 10, rng())
    inputs, labels = torch.randn(50, 1, 4, 4), torch.arange(50) % 10
    exact = copy.deepcopy(network).double()
    computed = pruning.snip(network, networks.prunable(network, output), inputs, labels)
    weights = networks.prunable(exact, output)
    gradients = torch.autograd.grad(cross_entropy(exact(inputs.double()), labels), list(weights.values()))
    assert list(computed) == list(weights)
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        expected = (weight * gradient).abs().detach()
        assert (computed[name] - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("temperature", [1, 200])
def test_grasp_is_minus_the_change_of_gradient_flow(small, temperature, monkeypatch):
    """Wang et al. 2020: removing weight q changes |g|^2 by -2 theta_q (Hg)_q to first order; the score keeps +."""
    monkeypatch.setattr(pruning, "GRASP_TEMPERATURE", temperature)
    network, inputs, labels = small
    network, weights = double(network)
    inputs = inputs.double()

    def flow():
        loss = cross_entropy(network(inputs) / temperature, labels)
        return sum((g * g).sum().item() for g in torch.autograd.grad(loss, list(weights.values())))

    computed = pruning.grasp(network, weights, inputs, labels)
    signs = set()
    for name, weight in weights.items():
        for index in np.ndindex(*weight.shape):
            value, flows = weight[index].item(), []
            for c in (1 - 1e-6, 1 + 1e-6):
                with torch.no_grad():
                    weight[index] = c * value
                flows.append(flow())
                with torch.no_grad():
                    weight[index] = value
            theta_hg = (flows[1] - flows[0]) / 2e-6 / 2
            assert computed[name][index].item() == pytest.approx(theta_hg, rel=1e-4, abs=1e-7 / temperature)
            signs.add(np.sign(theta_hg))
    assert signs >= {-1.0, 1.0}


@pytest.mark.parametrize(("score", "error"), [(pruning.snip, 1e-6), (pruning.grasp, 1e-12)])
def test_scores_of_many_examples_are_those_of_one_batch_of_all(small, score, error, monkeypatch):
    network, inputs, labels = small
    weights = networks.prunable(network)
    whole = score(network, weights, inputs, labels)
    monkeypatch.setattr(pruning, "SCORED", 5)
    for name, value in score(network, weights, inputs, labels).items():
        assert (value - whole[name]).norm() <= error * whole[name].norm()


@pytest.mark.parametrize(("n", "sizes"), [(3, [3]), (64, [64]), (65, [33, 32]), (1000, [63] * 8 + [62] * 8)])
def test_examples_are_scored_in_even_batches(n, sizes):
    parts = list(pruning._batches(torch.arange(n), torch.arange(n)))
    assert [len(inputs) for inputs, _, _ in parts] == sizes
    assert torch.equal(torch.cat([inputs for inputs, _, _ in parts]), torch.arange(n))
    assert sum(share for _, _, share in parts) == pytest.approx(1)


def test_batch_norm_scores_every_batch_with_its_own_statistics(monkeypatch):
    network = networks.build(ImageNetwork(architecture="vgg", depth=11, width=2), (1, 8, 8), 10, rng())
    inputs, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    monkeypatch.setattr(pruning, "SCORED", 4)
    found = pruning.snip(network, networks.prunable(network), inputs, labels)
    network, inputs = network.double(), inputs.double()
    weights = networks.prunable(network)
    halves = [
        torch.autograd.grad(cross_entropy(network(inputs[i]), labels[i]), list(weights.values()))
        for i in (slice(4), slice(4, 8))
    ]
    for (name, weight), first, second in zip(weights.items(), *halves, strict=True):
        expected = (weight * (first + second) / 2).abs().detach()
        assert (found[name] - expected).norm() <= 1e-5 * expected.norm()


def test_synflow_scores_are_sums_over_paths_and_rounds_shrink(small, monkeypatch):
    """One round: the score of a weight is the sum over all paths through it of the product of |weights|."""
    network = small[0]
    monkeypatch.setattr(pruning, "SYNFLOW_ROUNDS", 1)
    masks = pruning.synflow(network, (1, 2, 3), 30)
    a, b, c = (w.detach().abs().double().numpy() for w in networks.prunable(network).values())
    paths = {name: np.zeros(w.shape) for name, w in networks.prunable(network).items()}
    first, second, third = paths.values()
    for i, j, k, o in itertools.product(range(6), range(5), range(4), range(3)):
        product = a[j, i] * b[k, j] * c[o, k]
        first[j, i] += product
        second[k, j] += product
        third[o, k] += product
    expected = pruning.keep_highest({name: torch.from_numpy(p) for name, p in paths.items()}, 30)
    assert all(torch.equal(masks[name], expected[name]) for name in masks)


def test_synflow_never_revives_a_weight_and_avoids_collapse():
    network = networks.build(ImageNetwork(hidden=[20, 20, 20]), (1, 8, 8), 10, rng())
    n = sum(w.numel() for w in networks.prunable(network).values())
    before = copy_of(network)
    masks = pruning.synflow(network, (1, 8, 8), round(n * 0.03))
    assert total(masks) == round(n * 0.03)
    assert pruning.collapsed_layers(masks) == 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    inputs, labels = torch.randn(50, 1, 8, 8), torch.arange(50) % 10
    magnitude = pruning.draw(ImagePruning(method="magnitude"), network, 0.97, inputs, labels, rng())
    assert pruning.density(magnitude) == pytest.approx(pruning.density(masks))


def copy_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_synflow_works_on_convolutions_with_batch_norm():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(48, 5)
    )
    masks = pruning.synflow(network, (1, 8, 8), 60)
    assert total(masks) == 60
    assert network.training
    assert set(masks) == {"0.weight", "3.weight", "5.weight"}


@pytest.mark.parametrize(
    "model", [{"architecture": "vgg", "depth": 11, "width": 3}, {"architecture": "resnet", "depth": 8, "width": 3}]
)
@pytest.mark.parametrize("method", ALL_AT_START)
def test_every_method_prunes_convolutional_networks_and_leaves_them_as_they_were(model, method):
    network = networks.build(ImageNetwork(**model), (1, 8, 8), 10, rng())
    inputs, labels = torch.randn(40, 1, 8, 8), torch.arange(40) % 10
    before = copy_of(network)
    masks = pruning.draw(ImagePruning(method=method), network, 0.6, inputs, labels, rng())
    assert masks.keys() == networks.prunable(network).keys()
    assert pruning.density(masks) == pytest.approx(0.4, abs=0.02 if method == "bernoulli" else 0.001)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    if method == "synflow":
        assert pruning.collapsed_layers(masks) == 0


def test_shuffling_keeps_the_layers_sizes(small):
    mask = pruning.draw(ImagePruning(method="magnitude"), *small[:1], 0.6, *small[1:], rng())
    mixed = pruning.draw(ImagePruning(method="shuffled_imp"), *small[:1], 0.6, *small[1:], rng(), mask)
    assert {n: int(m.sum()) for n, m in mixed.items()} == {n: int(m.sum()) for n, m in mask.items()}
    assert any(not torch.equal(mixed[n], mask[n]) for n in mask)


def test_an_imp_level_prunes_the_smallest_survivors():
    weights = {"a": torch.tensor([0.5, -3.0, 0.0, 2.0]), "b": torch.tensor([1.0, -0.1])}
    before = {"a": torch.tensor([True, False, True, True]), "b": torch.tensor([True, True])}
    after = pruning.imp_level(weights, before, 0.5)
    assert {n: m.tolist() for n, m in after.items()} == {"a": [True, False, False, True], "b": [True, False]}
    with pytest.raises(WinnowError, match="keeps more weights"):
        pruning.imp_level(weights, before, 0.0)


def test_collapsed_layers_are_counted():
    masks = {"a": torch.zeros(2, 2, dtype=torch.bool), "b": torch.ones(2, 2, dtype=torch.bool)}
    assert pruning.collapsed_layers(masks) == 1
    assert pruning.density(masks) == 0.5


RESNET_8 = {  # where the weights of a ResNet-8 lead from and to; shortcuts without weights have no name
    "0.0.weight": ("input", "a"),
    "2.body.0.0.weight": ("a", "a1"), "2.body.2.0.weight": ("a1", "b"), None: ("a", "b"),
    "3.body.0.0.weight": ("b", "b1"), "3.body.2.0.weight": ("b1", "c"), "3.shortcut.0.weight": ("b", "c"),
    "4.body.0.0.weight": ("c", "c1"), "4.body.2.0.weight": ("c1", "d"), "4.shortcut.0.weight": ("c", "d"),
    "7.weight": ("d", "output"),
}  # fmt: skip


def share_on_paths(layers, shapes, masks):
    """The share of kept weights on a path, by walking from channel to channel."""
    edges = []  # (from, to, how many weights)
    for name, (start, end) in layers.items():
        mask = masks.get(name, torch.ones(shapes[name]) if name else torch.eye(shapes["0.0.weight"][0])).bool()
        kept = mask.flatten(2).sum(2) if mask.ndim == 4 else mask
        edges += [((start, i), (end, j), int(kept[j, i]) if name in masks else 0) for j, i in kept.nonzero().tolist()]

    def reached(first, steps):
        seen, queue = set(), [unit for unit in {unit for edge in edges for unit in edge[:2]} if unit[0] == first]
        while queue:
            unit = queue.pop()
            if unit not in seen:
                seen.add(unit)
                queue += steps.get(unit, [])
        return seen

    forward, backward = {}, {}
    for start, end, _ in edges:
        forward.setdefault(start, []).append(end)
        backward.setdefault(end, []).append(start)
    ahead, behind = reached("input", forward), reached("output", backward)
    return sum(n for start, end, n in edges if start in ahead and end in behind) / max(1, total(masks))


@settings(max_examples=30)
@given(st.sampled_from(["mlp", "resnet"]), st.floats(0, 1), st.booleans(), st.integers(0, 100))
def test_the_connected_share_is_that_of_the_weights_on_paths(architecture, fraction, output, seed):
    model = ImageNetwork(architecture=architecture, hidden=[7, 6, 5], depth=8, width=3)
    network = networks.build(model, (2, 3, 3), 10, rng())
    weights = networks.prunable(network)
    names = list(weights)
    chain = {name: (i, i + 1) for i, name in enumerate(names)}
    chain |= {names[0]: ("input", 1), names[-1]: (len(names) - 1, "output")}
    masks = pruning.bernoulli(networks.prunable(network, output), fraction, rng(seed))
    shapes = {name: weight.shape for name, weight in weights.items()}
    expected = share_on_paths(RESNET_8 if architecture == "resnet" else chain, shapes, masks)
    assert pruning.connected_share(network, masks) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "model", [{"architecture": "vgg", "depth": 19, "width": 2}, {"architecture": "resnet", "depth": 302, "width": 8}]
)
def test_the_connected_share_of_deep_networks_does_not_overflow(model):
    network = networks.build(ImageNetwork(**model), (3, 16, 16), 10, rng())
    masks = pruning.bernoulli(networks.prunable(network), 0, rng())
    assert pruning.connected_share(network, masks) == 1
    masks["0.0.weight"][:] = False
    assert pruning.connected_share(network, masks) == 0


def test_a_residual_network_conducts_although_layers_collapsed():
    network = networks.build(ImageNetwork(architecture="resnet", depth=8, width=3), (1, 8, 8), 10, rng())
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in networks.prunable(network).items()}
    masks["2.body.2.0.weight"][:] = False
    unused = masks["2.body.0.0.weight"].numel()
    assert pruning.collapsed_layers(masks) == 1
    assert pruning.connected_share(network, masks) == pytest.approx(1 - unused / total(masks))


def test_the_same_initial_weights_at_every_fraction():
    first, second = (networks.build(ImageNetwork(hidden=[50]), (1, 4, 4), 10, rng(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    weight = networks.prunable(first)["1.weight"]
    assert weight.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    assert not first[1].bias.any()
