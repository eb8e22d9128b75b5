"""From settings to what the core works on: the initial masked network and the examples as columns."""

import math

import numpy as np
import torch

from ..core import Examples, Network, Pattern, padded
from ..randomness import Stream
from .data import signal_index, signals
from .settings import TwoLayerSettings


def hidden_shape(settings: TwoLayerSettings) -> tuple[int, int]:
    """[hidden neurons, inputs each of them sees]."""
    model, data = settings.model, settings.data
    neurons = model.width * data.classes if model.output_layer == "class_sums" else model.width
    return neurons, data.dimension


def read_coordinates(settings: TwoLayerSettings, mask: Pattern) -> np.ndarray:
    """The coordinates of a patch that some weight reads, and those of the signals, which are the first; ascending."""
    read = np.zeros(mask.shape[1], bool)
    read[mask.coordinates] = True
    read[: settings.data.signal_coordinates] = True
    return np.flatnonzero(read)


def build(settings: TwoLayerSettings, mask: Pattern, rng: Stream, coordinates: np.ndarray | None = None) -> Network:
    """The masked network at initialization: w ~ N(0, init_std^2) on the kept entries.

    Pruned weights are drawn too and dropped, so that a seed's kept weights are the same at every fraction. If its
    examples have some `coordinates` of a patch only, it reads them at their places among these.
    """
    output = output_weights(settings, rng)
    read = mask.coordinates
    rows = np.split(read.numpy(), mask.pointers[1:-1].numpy())
    weights = rng.normals_at(rows, mask.shape[1]) * np.float32(settings.model.init_std)
    if coordinates is not None and len(coordinates) < settings.data.dimension:
        places = np.zeros(settings.data.dimension, np.int32)
        places[coordinates] = np.arange(len(coordinates))
        read = torch.from_numpy(places[read.numpy()])
    return Network(
        pointers=mask.pointers,
        coordinates=read,
        weights=torch.from_numpy(weights),
        output=torch.from_numpy(output),
        power=settings.model.power,
    )


def output_weights(settings: TwoLayerSettings, rng: Stream) -> np.ndarray:
    """Output weights, float32 [1 (logistic loss) or K, neurons]; 0 marks a connection that does not exist."""
    model, data = settings.model, settings.data
    if model.output_layer == "class_sums":
        return np.repeat(np.eye(data.classes, dtype=np.float32), model.width, axis=1)
    outputs = 1 if settings.training.loss == "logistic" else data.classes
    scale = model.output_scale or 1 / math.sqrt(model.width)
    laws = {"normal": rng.normals, "uniform": lambda *shape: 2 * rng.uniforms(*shape) - 1, "sign": rng.signs}
    return np.float32(scale) * laws[model.output_init](outputs, model.width)


def examples(
    settings: TwoLayerSettings, arrays: dict[str, np.ndarray], coordinates: np.ndarray | None = None
) -> Examples:
    """Drawn examples (see `data.draw`), on some coordinates if not on all, as the columns that the core reads.

    Columns are the n noise patches and after them the signals, which all examples of a class share. Labels are those of
    the loss: +-1, or the row of a class.
    """
    labels, noise, scale = arrays["labels"], arrays["noise"], np.float32(settings.data.sigma_n)
    vectors, index = signals(settings.data), signal_index(settings.data, labels)
    vectors = vectors if coordinates is None else vectors[:, coordinates]
    n = len(labels)
    inputs = padded(noise.shape[1], n + len(vectors))
    np.multiply(noise.T, scale, out=inputs[:, :n].numpy())
    inputs[:, n:] = torch.from_numpy(vectors.T)
    patches = np.stack([n + index, np.arange(n)], axis=1)
    return Examples(
        inputs=inputs,
        patches=torch.from_numpy(patches.astype(np.int32)),
        labels=torch.from_numpy(labels if settings.training.loss == "logistic" else index),
    )
