"""Pruning at initialization: which weights of a layer are kept, as compressed rows.

Masks are drawn once, before training. For one seed they are nested: a weight kept at some fraction is kept at every
smaller one, because all fractions compare the same uniform numbers with their threshold.
"""

import numpy as np
import torch

from ..core import Pattern
from ..randomness import Stream
from .settings import Pruning


def from_rows(rows: list[np.ndarray], columns: int) -> Pattern:
    """The mask whose row r keeps the columns rows[r] (ascending)."""
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    coordinates = np.concatenate(rows).astype(np.int32, copy=False)
    return Pattern((len(rows), columns), torch.from_numpy(pointers), torch.from_numpy(coordinates))


def bernoulli(shape: tuple[int, int], fraction: float, rng: Stream, target: slice = slice(None)) -> Pattern:
    """Keep every entry independently with probability 1 - fraction (paper, section 2); columns outside `target` stay.

    Drawn row by row, so that no dense mask is ever in memory.
    """
    thresholds = np.zeros(shape[1], np.float32)
    thresholds[target] = fraction
    kept = (rng.uniforms(shape[1]) >= thresholds for _ in range(shape[0]))
    return from_rows([np.flatnonzero(row).astype(np.int32) for row in kept], shape[1])


def exact(shape: tuple[int, int], fraction: float, rng: Stream) -> Pattern:
    """Keep exactly round((1 - fraction) rows x columns) entries, chosen uniformly; ties are kept by index."""
    scores = rng.uniforms(shape[0] * shape[1])
    kept = np.argsort(-scores, kind="stable")[: round((1 - fraction) * len(scores))]
    mask = np.zeros(len(scores), bool)
    mask[kept] = True
    return from_rows([np.flatnonzero(row) for row in mask.reshape(shape)], shape[1])


def whole_rows(kept: Pattern, columns: int) -> Pattern:
    """The mask that keeps all entries of some rows: those where a mask of one column keeps its entry."""
    return from_rows([np.arange(columns if entry else 0) for entry in kept.pointers.diff()], columns)


METHODS = {"bernoulli": bernoulli, "exact": exact}


def draw(
    pruning: Pruning, shape: tuple[int, int], fraction: float, rng: Stream, signal_coordinates: int = 0
) -> Pattern:
    """Draw the mask of a [rows, columns] matrix by the configured method; the first columns carry the signal.

    A row is a hidden neuron. One that keeps no weight puts out 0 and is not trained, so it is gone with its output.
    """
    if pruning.target == "all":
        return METHODS[pruning.method](shape, fraction, rng)
    if pruning.target == "neurons":
        return whole_rows(METHODS[pruning.method]((shape[0], 1), fraction, rng), shape[1])
    is_signal = pruning.target == "signal"
    return bernoulli(shape, fraction, rng, slice(signal_coordinates) if is_signal else slice(signal_coordinates, None))
