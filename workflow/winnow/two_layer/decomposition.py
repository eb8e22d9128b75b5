"""The signal-noise decomposition of a K-class network during training (paper, Definition 14), and what it shows.

    w~_r(t) = w~_r(0) + sum_k gamma_rk mu_k m_r / |mu_k|^2 + sum_i (zeta_ri + omega_ri) xi~_ri / |xi~_ri|^2

The core adds up the coefficient of every column while it trains; scaled, they are gamma, zeta and omega, by
construction and not by a fit. Each moves in one direction only (own-class gamma and zeta up, the others down), so the
value at a step is also the largest so far.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .. import core
from ..core import Examples, Network
from .settings import TwoLayerSettings

VARIANCES = ("variance_initial", "variance_learned", "variance_max", "variance_noise", "variance_noise_max")  # float32


@dataclass(frozen=True)
class Columns:
    """What the columns of a K-class training problem are: the n noise patches first, the K signals after them."""

    classes: int
    width: int
    """m, neurons per class; neuron r belongs to class r // m."""
    labels: np.ndarray
    """int64 [n]"""
    norms: np.ndarray
    """What a coefficient is scaled by, float32 [K m, n + K]: |xi~_ri|^2 of a noise patch, on the weights that neuron r
    keeps, and |mu_k|^2 of a signal, or 0 where it keeps nothing of it."""

    @property
    def owners(self) -> np.ndarray:
        """The class of every neuron, int64 [K m]."""
        return np.repeat(np.arange(self.classes), self.width)

    @property
    def own_signal(self) -> np.ndarray:
        """The column of every neuron's own signal, int64 [K m]."""
        return len(self.labels) + self.owners

    @property
    def keeps_signal(self) -> np.ndarray:
        """Whether a neuron is in S_signal of its class, bool [K m]."""
        return self.norms[np.arange(len(self.owners)), self.own_signal] > 0


def columns(network: Network, examples: Examples, width: int, signal_norm: float) -> Columns:
    """Describe the columns of a network's training examples (see `network.examples`)."""
    ones = Network(network.pointers, network.coordinates, torch.ones_like(network.weights), network.output, 1)
    norms = core.preactivations(ones, examples.inputs**2).numpy()
    signals = norms[:, len(examples.labels) :]
    signals[signals > 0] = np.float32(signal_norm) ** 2
    return Columns(len(network.output), width, examples.labels.numpy(), norms)


def split(coefficients: np.ndarray, columns: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """gamma [K m, K], zeta [K m, n] and omega [K m, n] from the core's coefficients [K m, n + K].

    zeta is 0 for examples of other classes, omega for those of the neuron's own.
    """
    scaled = coefficients * columns.norms
    n = len(columns.labels)
    own = columns.labels[None, :] == columns.owners[:, None]
    return scaled[:, n:], scaled[:, :n] * own, scaled[:, :n] * ~own


def features(coefficients: np.ndarray, columns: Columns) -> dict[str, float]:
    """The largest coefficients: over the run's neurons, and for gamma also in the class that learned least.

    gamma_max, gamma_least (min over classes of max_r gamma_jrj), gamma_cross (max |gamma_jrk|, k != j), zeta_max,
    omega_max (of |omega|).
    """
    gamma, zeta, omega = split(coefficients, columns)
    own = gamma[np.arange(len(gamma)), columns.owners].reshape(columns.classes, columns.width)
    cross = np.where(columns.owners[:, None] == np.arange(columns.classes), 0, gamma)
    return {
        "gamma_max": float(own.max()),
        "gamma_least": float(own.max(axis=1).min()),
        "gamma_cross": float(np.abs(cross).max()),
        "zeta_max": float(zeta.max()),
        "omega_max": float(np.abs(omega).max()),
    }


def initial_features(network: Network, examples: Examples, columns: Columns) -> dict[str, float]:
    """What pruning leaves at initialization: who keeps the signal, and Lemma 4's correlations before training.

    empty_neurons (no weight left), decomposition_unique (1 if every neuron has more than n + K weights, Lemma 18);
    signal_neurons (all classes), classes_missing (no signal neuron), classes_dead (none with <w, mu> > 0);
    noise_start_low and _high, the least and largest over classes j and examples i of max_r <w_jr, xi_i>;
    signal_start_low and _high, the same over classes of max over signal neurons of <w_jr, mu_j> (nan: no such neuron
    in some class).
    """
    shape = (columns.classes, columns.width)
    z = core.preactivations(network, examples.inputs).numpy()
    noise = z[:, : len(columns.labels)].reshape(*shape, -1).max(axis=1)
    keeps = columns.keeps_signal.reshape(shape)
    own = z[np.arange(len(z)), columns.own_signal].reshape(shape)
    signal = np.where(keeps, own, -np.inf).max(axis=1)
    missing = ~keeps.any(axis=1)
    kept = np.diff(network.pointers.numpy())
    return {
        "empty_neurons": float((kept == 0).sum()),
        "decomposition_unique": float(kept.min() > z.shape[1]),
        "signal_neurons": float(keeps.sum()),
        "classes_missing": float(missing.sum()),
        "classes_dead": float((signal <= 0).sum()),
        "noise_start_low": float(noise.min()),
        "noise_start_high": float(noise.max()),
        "signal_start_low": float("nan") if missing.any() else float(signal.min()),
        "signal_start_high": float("nan") if missing.any() else float(signal.max()),
    }


def noise_variances(
    initial: np.ndarray, network: Network, sigma_n: float, signal_coordinates: int, orthogonal: bool
) -> dict[str, float]:
    """Var <w_r, xi> over fresh noise, which is sigma_n^2 |w~_r|^2: how much is there at the start, how much is learned.

    Noise that is `orthogonal` to the signals is 0 on the first `signal_coordinates` coordinates, and so are w's there.
    variance_initial and variance_learned (of w(0) and of w(t) - w(0)) are means over neurons, variance_max the largest
    of w(t) over neurons; variance_noise and variance_noise_max are mean and largest of w(t) without these
    coordinates, on which a signal is learned. `initial` float32 [kept] are the weights at step 0.
    """
    weights = network.weights.numpy()
    starts = network.pointers.numpy()
    carries_none = network.coordinates.numpy() >= signal_coordinates
    met = carries_none if orthogonal else np.True_

    def norms(values: np.ndarray) -> np.ndarray:
        squares = np.append(values, np.float32(0))
        np.square(squares, out=squares)  # in place: the largest networks have 30 million weights
        return np.where(np.diff(starts) > 0, np.add.reduceat(squares, starts[:-1]), 0)

    scale, without = sigma_n * sigma_n, norms(weights * carries_none)
    return {
        "variance_initial": scale * norms(initial * met).mean(),
        "variance_learned": scale * norms((weights - initial) * met).mean(),
        "variance_max": scale * norms(weights * met).max(),
        "variance_noise": scale * without.mean(),
        "variance_noise_max": scale * without.max(),
    }


def balanced_loss(labels: torch.Tensor, losses: torch.Tensor) -> float:
    """The mean over classes of the mean loss of their examples, nats; `losses` is float64 [n].

    Unlike the mean over examples it does not change with the shares of the classes, which differ by chance between
    training and test examples. A class without examples is left out.
    """
    counts = np.bincount(labels.numpy())
    sums = np.bincount(labels.numpy(), losses.numpy())
    return float((sums[counts > 0] / counts[counts > 0]).mean())


def fresh_noise(network: Network, examples: Examples, threshold: float, losses: torch.Tensor) -> dict[str, float]:
    """Lemma 8's event on test examples: E is that max_jr <w_jr, xi> stays below a threshold.

    event_missed = P(not E), and the mean test loss on E and on the rest (nan where there is none), nats; `losses` is
    float64 [n_test].
    """
    losses = losses.numpy()
    largest = core.preactivations(network, examples.padded()).numpy()[:, : len(losses)].max(axis=0)
    missed = largest >= threshold
    on, off = (float(losses[chosen].mean()) if chosen.any() else float("nan") for chosen in (~missed, missed))
    return {"event_missed": float(missed.mean()), "loss_on_event": on, "loss_off_event": off}


class Tracker:
    """Follows one run of a K-class network: hand `coefficients` to the core, then ask at every evaluation."""

    names = (
        *("gamma_max", "gamma_least", "gamma_cross", "zeta_max", "omega_max"),
        *("train_loss_balanced", "test_loss_balanced"),
        *VARIANCES,
        *("event_missed", "loss_on_event", "loss_off_event"),
        *("empty_neurons", "decomposition_unique", "signal_neurons", "classes_missing", "classes_dead"),
        *("noise_start_low", "noise_start_high", "signal_start_low", "signal_start_high"),
    )
    unmeasured = dict.fromkeys(names, math.nan) | dict.fromkeys(VARIANCES, np.float32(math.nan))
    """What stands for `measure` where nothing was measured, of its types: a column has the same one in every run."""

    def __init__(self, network: Network, train: Examples, test: Examples, settings: TwoLayerSettings):
        self.network, self.train, self.test, self.settings = network, train, test, settings
        self.columns = columns(network, train, settings.model.width, settings.data.signal_norm)
        self.coefficients = torch.zeros(self.columns.norms.shape)
        self.initial_weights = network.weights.numpy().copy()
        self.initial = initial_features(network, train, self.columns)

    def rates(self) -> tuple[torch.Tensor, bool]:
        """The learning rate of every class, float64 [K], by `flat_below`; and whether one is above the plain one."""
        training, columns = self.settings.training, self.columns
        z = core.preactivations(self.network, self.train.padded()).numpy()
        own = np.concatenate([columns.labels, np.arange(columns.classes)]) == columns.owners[:, None]
        largest = np.where(own, z, 0).max(axis=1).reshape(columns.classes, columns.width).max(axis=1)
        # A class without a positive preactivation on its own examples does not learn them, whatever its rate.
        ratio = training.flat_below / np.where(largest > 0, largest, training.flat_below).astype(float)
        speed = np.maximum(1, ratio) ** (self.settings.model.power - 2)
        return torch.from_numpy(training.learning_rate * speed), bool((speed > 1).any())

    def measure(self, losses: torch.Tensor, compared: bool) -> dict[str, float]:
        """What the network has learned so far; `losses` float64 [n_test] of the test examples.

        train_loss_balanced is measured only where runs are `compared`, else nan: it costs as much as a step.
        """
        data, loss = self.settings.data, self.settings.training.loss
        signals = data.signal_coordinates if data.signal == "coordinate" else 0  # a dense one has no place of its own
        seen = core.evaluate(self.network, self.train, loss=loss)[3] if compared else None
        return (
            features(self.coefficients.numpy(), self.columns)
            | {"train_loss_balanced": balanced_loss(self.train.labels, seen) if compared else float("nan")}
            | {"test_loss_balanced": balanced_loss(self.test.labels, losses)}
            | noise_variances(self.initial_weights, self.network, data.sigma_n, signals, data.noise_orthogonal)
            | fresh_noise(self.network, self.test, self.settings.model.event_threshold, losses)
            | self.initial
        )

    def strengths(self) -> dict[str, list[float]]:
        """Every neuron's <w_r, mu> with its own signal, and its <w_r, xi> with the noise of the first test example."""
        signal = core.preactivations(self.network, self.train.padded()).numpy()
        noise = core.preactivations(self.network, self.test.padded()).numpy()
        return {
            "signal_strength": signal[np.arange(len(signal)), self.columns.own_signal].tolist(),
            "noise_strength": noise[:, 0].tolist(),
        }
