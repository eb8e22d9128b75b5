"""Pruning at initialization: which weights of a layer are kept, as compressed rows.

Masks are drawn once, before training. For one seed they are nested: a weight kept at some fraction is kept at every
smaller one, because all fractions compare the same uniform numbers with their threshold.
"""

from dataclasses import dataclass

import numpy as np

from ..randomness import Stream
from .settings import Pruning


@dataclass(frozen=True)
class Mask:
    """The kept entries of a matrix: row r keeps the columns coordinates[pointers[r] : pointers[r + 1]], ascending."""

    shape: tuple[int, int]
    pointers: np.ndarray
    """int64 [rows + 1]"""
    coordinates: np.ndarray
    """int32 [kept]"""

    @property
    def density(self) -> float:
        """The achieved share of kept entries."""
        return len(self.coordinates) / (self.shape[0] * self.shape[1])

    def row(self, r: int) -> np.ndarray:
        """The kept columns of row r."""
        return self.coordinates[self.pointers[r] : self.pointers[r + 1]]


def from_rows(rows: list[np.ndarray], columns: int) -> Mask:
    """The mask whose row r keeps the columns rows[r] (ascending)."""
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Mask((len(rows), columns), pointers, np.concatenate(rows).astype(np.int32, copy=False))


def bernoulli(shape: tuple[int, int], fraction: float, rng: Stream, target: slice = slice(None)) -> Mask:
    """Keep every entry independently with probability 1 - fraction (paper, section 2); columns outside `target` stay.

    Drawn row by row, so that no dense mask is ever in memory.
    """
    thresholds = np.zeros(shape[1], np.float32)
    thresholds[target] = fraction
    kept = (rng.uniforms(shape[1]) >= thresholds for _ in range(shape[0]))
    return from_rows([np.flatnonzero(row).astype(np.int32) for row in kept], shape[1])


def exact(shape: tuple[int, int], fraction: float, rng: Stream) -> Mask:
    """Keep exactly round((1 - fraction) rows x columns) entries, chosen uniformly; ties are kept by index."""
    scores = rng.uniforms(shape[0] * shape[1])
    kept = np.argsort(-scores, kind="stable")[: round((1 - fraction) * len(scores))]
    mask = np.zeros(len(scores), bool)
    mask[kept] = True
    return from_rows([np.flatnonzero(row) for row in mask.reshape(shape)], shape[1])


def whole_rows(kept: Mask, columns: int) -> Mask:
    """The mask that keeps all entries of some rows: those where a mask of one column keeps its entry."""
    return from_rows([np.arange(columns if len(kept.row(r)) else 0) for r in range(kept.shape[0])], columns)


METHODS = {"bernoulli": bernoulli, "exact": exact}


def draw(pruning: Pruning, shape: tuple[int, int], fraction: float, rng: Stream, signal_coordinates: int = 0) -> Mask:
    """Draw the mask of a [rows, columns] matrix by the configured method; the first columns carry the signal.

    A row is a hidden neuron. One that keeps no weight puts out 0 and is not trained, so it is gone with its output.
    """
    if pruning.target == "all":
        return METHODS[pruning.method](shape, fraction, rng)
    if pruning.target == "neurons":
        return whole_rows(METHODS[pruning.method]((shape[0], 1), fraction, rng), shape[1])
    is_signal = pruning.target == "signal"
    return bernoulli(shape, fraction, rng, slice(signal_coordinates) if is_signal else slice(signal_coordinates, None))
