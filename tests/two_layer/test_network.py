import numpy as np
import pytest
import torch

from winnow import core
from winnow.randomness import Stream
from winnow.two_layer import data, pruning
from winnow.two_layer.network import build, examples, hidden_shape, output_weights, read_coordinates
from winnow.two_layer.settings import TwoLayerSettings


def settings(**sections) -> TwoLayerSettings:
    sections.setdefault("data", {"dimension": 12, "n_train": 5, "sigma_n": 2})
    return TwoLayerSettings(kind="two_layer", **sections)


def arrays(of: TwoLayerSettings) -> dict[str, np.ndarray]:
    return data.draw(of.data, of.data.n_train, Stream(0))


def test_kept_weights_are_the_same_at_every_fraction():
    dense, sparse = (pruning.bernoulli((6, 50), f, Stream(1)) for f in (0, 0.6))
    networks = [build(settings(), p, Stream(2)) for p in (dense, sparse)]
    assert torch.equal(networks[1].weights, networks[0].weights[sparse.flat(torch.device("cpu"))])
    assert torch.equal(networks[0].output, networks[1].output)


def test_weights_have_the_configured_standard_deviation():
    of = settings(model={"width": 40, "init_std": 0.3})
    network = build(of, pruning.bernoulli((40, 1000), 0, Stream(0)), Stream(1))
    assert network.weights.std().item() == pytest.approx(0.3, rel=0.02)
    assert abs(network.weights.mean().item()) < 0.01


@pytest.mark.parametrize(
    ("init", "scale", "std", "largest"),
    [("normal", 0.01, 0.01, 1), ("uniform", 0.6, 0.6 / np.sqrt(3), 0.6), ("sign", None, 0.01, 0.01)],
)
def test_output_weights(init, scale, std, largest):
    of = settings(model={"width": 10_000, "output_init": init, "output_scale": scale})
    output = output_weights(of, Stream(0))
    assert output.shape == (1, 10_000)
    assert output.std() == pytest.approx(std, rel=0.03)
    assert np.abs(output).max() <= np.float32(largest)


def test_class_sums_give_every_class_its_own_neurons():
    of = settings(
        data={"distribution": "classes", "classes": 3, "dimension": 5},
        model={"width": 2, "output_layer": "class_sums"},
        training={"loss": "cross_entropy"},
    )
    assert hidden_shape(of) == (6, 5)
    output = output_weights(of, Stream(0))
    assert output.tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("distribution", ["binary", "classes"])
def test_patches_are_the_scaled_noise_and_the_signal_of_the_label(distribution):
    classes = {"distribution": distribution, "classes": 2, "dimension": 12, "n_train": 5, "sigma_n": 2}
    of = settings(data=classes, training={"loss": "logistic" if distribution == "binary" else "cross_entropy"})
    drawn = arrays(of)
    seen = examples(of, drawn)
    columns = seen.inputs.T[seen.patches.long()].numpy()  # [n, 2, d]
    signal = data.signals(of.data)[data.signal_index(of.data, drawn["labels"])]
    assert np.array_equal(columns[:, 0], signal)
    assert np.array_equal(columns[:, 1], 2 * drawn["noise"])


def test_on_the_coordinates_that_weights_read_a_network_is_the_same(library):
    sections = {"distribution": "classes", "classes": 3, "dimension": 200, "n_train": 9, "noise_orthogonal": False}
    of = settings(data=sections, model={"width": 5, "power": 3}, training={"loss": "cross_entropy"})
    mask = pruning.bernoulli(hidden_shape(of), 0.9, Stream(1))
    some, drawn = read_coordinates(of, mask), arrays(of)
    read = np.unique(mask.coordinates)
    assert some.tolist() == sorted({0, 1, 2, *read.tolist()})
    assert len(some) < 200
    traces = []
    for coordinates, noise in ((None, drawn["noise"]), (some, drawn["noise"][:, some])):
        network = build(of, mask, Stream(2), coordinates)
        seen = examples(of, drawn | {"noise": noise}, coordinates)
        trace = core.descend(network, seen, steps=5, learning_rate=0.5, loss="cross_entropy", reduction="mean")
        traces.append((trace.losses.tolist(), network.weights.tolist()))
    assert traces[0] == traces[1]


@pytest.mark.parametrize("kept", [[], [7]])
def test_a_network_that_keeps_one_weight_or_none_is_built(kept):
    """Of one weight, the place of its coordinate was no array: every run of its job was lost."""
    of = settings(data={"dimension": 20}, model={"width": 1})
    mask = core.Pattern.of(torch.zeros(1, 20, dtype=torch.bool).index_fill_(1, torch.tensor(kept).long(), True))
    network = build(of, mask, Stream(2), read_coordinates(of, mask))
    assert network.coordinates.tolist() == [1 for _ in kept]  # behind coordinate 0, the signal's


def test_labels_of_two_signs_have_an_output_each_under_cross_entropy():
    of = settings(training={"loss": "cross_entropy"})
    seen, drawn = examples(of, arrays(of)), arrays(of)
    assert seen.labels.tolist() == [0 if label > 0 else 1 for label in drawn["labels"]]
    assert seen.labels.dtype == torch.int64
    output = output_weights(of, Stream(0))
    assert output.shape == (2, 150)
    assert not (output[0] == output[1]).any()
