"""Small networks and data for the tests of the core."""

import numpy as np
import torch

from winnow import core


def compressed(mask, weights, output, power):
    """A Network from dense weights and mask [M, d]."""
    mask = torch.as_tensor(mask)
    pointers = torch.zeros(len(mask) + 1, dtype=torch.int64)
    pointers[1:] = mask.sum(1).cumsum(0)
    coordinates = mask.nonzero()[:, 1].to(torch.int32).contiguous()
    return core.Network(pointers, coordinates, weights.float()[mask].contiguous(), output.float().clone(), power)


def dense(network, d):
    """The weights [M, d] of a Network, 0 where pruned."""
    rows = torch.repeat_interleave(torch.arange(len(network.pointers) - 1), network.pointers.diff())
    weights = torch.zeros(len(network.pointers) - 1, d)
    weights[rows, network.coordinates.long()] = network.weights
    return weights


def problem(seed, neurons, d, classes, n, density=0.5, power=1, patches=2, scale=1.0, one_hot=False, std=0.1):
    """(mask, weights, output, inputs, patches, labels): signal columns shared by a class and one noise column each."""
    rng = np.random.default_rng(seed)
    signs = classes == 1
    labels = rng.choice([-1, 1], n) if signs else rng.integers(0, classes, n)
    signals = 2 if signs else classes
    inputs = np.zeros((d, signals + n), dtype=np.float32)
    for k in range(signals):
        inputs[0 if signs else k % d, k] = (2 * k - 1) if signs else 1.0
    inputs[:, signals:] = rng.normal(size=(d, n)) / np.sqrt(d) * scale
    first = (labels + 1) // 2 if signs else labels
    columns = np.stack([first, signals + np.arange(n)], 1)[:, -patches:]
    mask = rng.random((neurons, d)) < density
    weights = rng.normal(size=(neurons, d)) * std
    output = rng.normal(size=(classes, neurons)) / np.sqrt(neurons)
    if one_hot:
        output = (np.arange(neurons) * classes // neurons == np.arange(classes)[:, None]) * 1.0
    as_tensor = torch.as_tensor
    return (
        as_tensor(mask),
        as_tensor(weights).float(),
        as_tensor(output).float(),
        as_tensor(inputs),
        as_tensor(columns.astype(np.int32)).contiguous(),
        as_tensor(labels.astype(np.int64)),
    )
