"""The numerics class of a job: which bits its arithmetic gives, found out by doing some and not by the CPU's name.

Two jobs of one class can be expected to agree bit for bit. The project's own core is not asked: it gives the same bits
in every class.
"""

import hashlib
import sys

import numpy as np


def numerics_class() -> dict[str, str]:
    """A short hash of numpy's results and, in a process that has torch, of torch's with its threads as they are now.

    Costs a few milliseconds; operations and sizes are such that instruction sets and thread counts show.
    """
    found = {"numpy": _hash(_with_numpy())}
    if torch := sys.modules.get("torch"):
        found["torch"] = _hash(_with_torch(torch))
    return found


def _numbers(*shape: int) -> np.ndarray:
    """Fixed float32 numbers in [-1, 1) from integer arithmetic alone."""
    indices = np.arange(np.prod(shape), dtype=np.uint64)
    return (((indices * 2654435761) % 2**24).astype(np.float32) / np.float32(2**23) - 1).reshape(shape)


def _with_numpy() -> list[np.ndarray]:
    x, w = _numbers(32, 300), _numbers(300, 24)
    wide = x.astype(np.float64)
    return [x @ w, wide @ w, np.exp(wide), np.log1p(np.exp(x)), np.tanh(x), wide.sum(0), x.mean(1), np.cos(wide)]


def _with_torch(torch) -> list[np.ndarray]:
    with torch.no_grad():
        x, w = torch.from_numpy(_numbers(64, 784)), torch.from_numpy(_numbers(784, 48))
        image, kernel = torch.from_numpy(_numbers(2, 8, 12, 12)), torch.from_numpy(_numbers(8, 8, 3, 3))
        results = [x @ w, torch.log_softmax(x, 1), x.flatten().sum(), x.exp(), x.double().exp(), x.var(0)]
        return [r.numpy() for r in (*results, torch.nn.functional.conv2d(image, kernel))]


def _hash(results: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(r.tobytes() for r in results)).hexdigest()[:16]
