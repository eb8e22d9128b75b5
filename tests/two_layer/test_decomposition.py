import numpy as np
import pytest
import torch

from winnow import core
from winnow.randomness import Stream
from winnow.two_layer import data, decomposition, pruning
from winnow.two_layer.network import build, examples, hidden_shape
from winnow.two_layer.settings import TwoLayerSettings

SETTINGS = TwoLayerSettings(
    kind="two_layer",
    data={
        "distribution": "classes",
        "classes": 3,
        "dimension": 60,
        "n_train": 12,
        "n_test": 40,
        "sigma_n": 0.3,
        "noise_orthogonal": False,
    },
    model={"width": 5, "power": 3, "init_std": 0.2, "output_layer": "class_sums"},
    training={"loss": "cross_entropy", "learning_rate": 0.5},
)
STEPS = 30


@pytest.fixture
def run(library):
    """A pruned network before and after training, and its tracker."""
    rng = Stream(0)
    drawn = [data.draw(SETTINGS.data, n, rng) for n in (12, 40)]
    pattern = pruning.bernoulli(hidden_shape(SETTINGS), 0.4, rng)
    network = build(SETTINGS, pattern, rng)
    train, test = (examples(SETTINGS, arrays) for arrays in drawn)
    tracker = decomposition.Tracker(network, train, test, SETTINGS)
    before = tracker.measure(core.evaluate(network, test, loss="cross_entropy")[3], compared=False)
    core.descend(
        network,
        train,
        steps=STEPS,
        learning_rate=0.5,
        loss="cross_entropy",
        reduction="mean",
        coefficients=tracker.coefficients,
    )
    return tracker, before, pattern, train, test


def dense(pattern, values):
    matrix = np.zeros(pattern.shape)
    matrix.flat[pattern.flat(torch.device("cpu"))] = values
    return matrix


def test_the_recursions_are_those_of_definition_14(run):
    """Every coefficient, stepped by the paper's recursions with explicit loops over dense arrays."""
    tracker, _, pattern, train, _ = run
    mask = dense(pattern, np.ones(len(pattern.coordinates)))
    weights = dense(pattern, tracker.initial_weights.astype(float))
    inputs, labels = train.inputs.numpy().astype(float), train.labels.numpy()
    n, classes, width = 12, 3, 5
    gamma, zeta, omega = np.zeros((15, 3)), np.zeros((15, n)), np.zeros((15, n))
    owners = np.repeat(np.arange(classes), width)
    norms = mask @ inputs**2
    for _ in range(STEPS):
        z = np.maximum(weights @ inputs, 0)
        logits = (z**3).reshape(classes, width, -1).sum(axis=1)
        scores = logits[:, :n] + logits[:, n + labels]
        p = np.exp(scores - scores.max(axis=0))
        slope = p / p.sum(axis=0) - (labels == np.arange(classes)[:, None])
        gradient = np.zeros_like(weights)
        for r, j in enumerate(owners):
            for i, y in enumerate(labels):
                signal = -0.5 / n * slope[j, i] * 3 * z[r, n + y] ** 2
                noise = -0.5 / n * slope[j, i] * 3 * z[r, i] ** 2
                gamma[r, y] += signal * norms[r, n + y]
                (zeta if j == y else omega)[r, i] += noise * norms[r, i]
                gradient[r] += signal * inputs[:, n + y] + noise * inputs[:, i]
        weights += gradient * mask
    found = decomposition.split(tracker.coefficients.numpy(), tracker.columns)
    for ours, theirs in zip(found, (gamma, zeta, omega), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(dense(pattern, tracker.network.weights.numpy()), weights, rtol=1e-3, atol=1e-6)


def test_weights_are_rebuilt_from_the_coefficients(run):
    """Definition 14 itself: w(t) from w(0), gamma, zeta and omega."""
    tracker, _, pattern, train, _ = run
    gamma, zeta, omega = decomposition.split(tracker.coefficients.numpy(), tracker.columns)
    inputs, norms = train.inputs.numpy(), tracker.columns.norms
    weights = dense(pattern, tracker.initial_weights)
    mask = dense(pattern, np.ones(len(pattern.coordinates)))
    weights += mask * (((zeta + omega) / norms[:, :12]) @ inputs[:, :12].T)
    weights += mask * (gamma @ inputs[:, 12:].T)  # |mu| = 1
    np.testing.assert_allclose(weights, dense(pattern, tracker.network.weights.numpy()), rtol=1e-4, atol=1e-6)


def test_what_is_measured_before_and_after(run):
    tracker, before, pattern, train, test = run
    types = {name: type(value) for name, value in before.items()}
    assert types == {name: type(value) for name, value in tracker.unmeasured.items()}
    assert before["gamma_max"] == before["zeta_max"] == before["variance_learned"] == 0
    after = tracker.measure(core.evaluate(tracker.network, test, loss="cross_entropy")[3], compared=True)
    assert after["gamma_max"] > 0
    assert after["zeta_max"] > 0
    weights, start = (dense(pattern, w) for w in (tracker.network.weights.numpy(), tracker.initial_weights))
    assert after["variance_initial"] == pytest.approx(0.09 * (start**2).sum(axis=1).mean(), rel=1e-5)
    assert after["variance_learned"] == pytest.approx(0.09 * ((weights - start) ** 2).sum(axis=1).mean(), rel=1e-4)
    assert after["variance_max"] == pytest.approx(0.09 * (weights**2).sum(axis=1).max(), rel=1e-5)
    without = weights[:, 3:]  # the first K coordinates carry the signals
    assert after["variance_noise"] == pytest.approx(0.09 * (without**2).sum(axis=1).mean(), rel=1e-5)
    assert after["variance_noise_max"] == pytest.approx(0.09 * (without**2).sum(axis=1).max(), rel=1e-5)
    z = start @ train.inputs.numpy()
    largest = z[:, :12].reshape(3, 5, 12).max(axis=1)
    assert after["noise_start_low"] == pytest.approx(largest.min(), rel=1e-4)
    assert after["noise_start_high"] == pytest.approx(largest.max(), rel=1e-4)
    mask = dense(pattern, np.ones(len(pattern.coordinates)))
    assert after["signal_neurons"] == mask[np.arange(15), np.arange(15) // 5].sum()
    strengths = tracker.strengths()
    own = weights @ train.inputs.numpy()[:, 12:]
    np.testing.assert_allclose(strengths["signal_strength"], own[np.arange(15), np.arange(15) // 5], rtol=1e-4)
    np.testing.assert_allclose(strengths["noise_strength"], weights @ test.inputs.numpy()[:, 0], rtol=1e-3, atol=1e-6)


def test_noise_that_is_orthogonal_to_the_signals_meets_no_weight_on_their_coordinates(run):
    """Variances over drawn noise; the weights on the signals' coordinates, which have learned, were counted."""
    tracker, _, pattern, *_ = run
    weights, start = (dense(pattern, w) for w in (tracker.network.weights.numpy(), tracker.initial_weights))
    noise = data.draw(SETTINGS.data.model_copy(update={"noise_orthogonal": True}), 20_000, Stream(5))["noise"].T
    drawn = {
        "variance_initial": (start @ noise).var(axis=1).mean(),
        "variance_learned": ((weights - start) @ noise).var(axis=1).mean(),
        "variance_max": (weights @ noise).var(axis=1).max(),
    }
    found = decomposition.noise_variances(tracker.initial_weights, tracker.network, 1.0, 3, orthogonal=True)
    assert {name: found[name] for name in drawn} == pytest.approx(drawn, rel=0.05)
    assert found["variance_max"] == found["variance_noise_max"]


def test_gamma_of_a_dense_signal_is_that_of_definition_14(library):
    """w(t) from w(0), gamma, zeta and omega; gamma was too small by the share of the signal that a neuron keeps."""
    spread = SETTINGS.data.model_copy(update={"signal": "dense", "dimension": 64, "signal_norm": 1.5})
    of, rng = SETTINGS.model_copy(update={"data": spread}), Stream(0)
    train, test = (examples(of, data.draw(spread, n, rng)) for n in (12, 40))
    pattern = pruning.bernoulli(hidden_shape(of), 0.4, rng)
    network = build(of, pattern, rng)
    tracker = decomposition.Tracker(network, train, test, of)
    how = {"steps": STEPS, "learning_rate": 0.5, "loss": "cross_entropy", "reduction": "mean"}
    core.descend(network, train, **how, coefficients=tracker.coefficients)
    gamma, zeta, omega = decomposition.split(tracker.coefficients.numpy(), tracker.columns)
    assert gamma.max() > 0.1
    inputs, norms = train.inputs.numpy(), tracker.columns.norms
    learned = ((zeta + omega) / norms[:, :12]) @ inputs[:, :12].T + gamma @ inputs[:, 12:].T / 1.5**2
    weights = dense(pattern, tracker.initial_weights) + dense(pattern, np.ones(len(pattern.coordinates))) * learned
    np.testing.assert_allclose(weights, dense(pattern, network.weights.numpy()), rtol=1e-4, atol=1e-6)


def test_balanced_losses_do_not_change_with_the_shares_of_the_classes(run):
    """By hand, and against a set in which one class stands twice."""
    tracker, *_, train, test = run
    losses = core.evaluate(tracker.network, test, loss="cross_entropy")[3]
    after = tracker.measure(losses, compared=True)
    assert np.isnan(tracker.measure(losses, compared=False)["train_loss_balanced"])
    for split, seen in (("train", train), ("test", test)):
        logits, labels = core.evaluate(tracker.network, seen, loss="cross_entropy")[2].numpy(), seen.labels.numpy()
        each = np.log(np.exp(logits).sum(axis=0)) - logits[labels, np.arange(len(labels))]
        by_class = [each[labels == k].mean() for k in np.unique(labels)]
        assert after[f"{split}_loss_balanced"] == pytest.approx(np.mean(by_class))
    again = torch.cat([torch.arange(40), torch.nonzero(test.labels == 1)[:, 0]])
    twice = decomposition.balanced_loss(test.labels[again], losses[again])
    assert twice == pytest.approx(after["test_loss_balanced"])
    assert decomposition.balanced_loss(torch.tensor([0, 2]), torch.tensor([1.0, 3.0])) == 2


def test_the_event_splits_the_test_loss(run):
    tracker, *_, test = run
    loss, _, _, losses = core.evaluate(tracker.network, test, loss="cross_entropy")
    found = decomposition.fresh_noise(tracker.network, test, 0.63, losses)
    missed = found["event_missed"]
    assert 0 < missed < 1
    assert (1 - missed) * found["loss_on_event"] + missed * found["loss_off_event"] == pytest.approx(loss, rel=1e-4)


def test_neurons_without_weights_or_signal_are_counted(library):
    rows = [np.array([], int), np.array([0, 5]), np.array([1]), np.array([2, 3]), np.array([4]), np.array([0])]
    pattern = pruning.from_rows([np.asarray(row) for row in rows], 8)
    settings = SETTINGS.at({"dimension": "8", "width": "2"})
    network = build(settings, pattern, Stream(1))
    arrays = data.draw(settings.data, 4, Stream(2))
    seen = examples(settings, arrays)
    found = decomposition.initial_features(network, seen, decomposition.columns(network, seen, 2, 1.0))
    assert found["empty_neurons"] == 1
    assert found["decomposition_unique"] == 0
    assert found["signal_neurons"] == 2  # neuron 1 of class 0 keeps coordinate 0, neuron 2 of class 1 coordinate 1
    assert found["classes_missing"] == 1
    assert np.isnan(found["signal_start_low"])
    assert torch.isfinite(network.weights).all()
