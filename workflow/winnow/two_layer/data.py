"""The data distribution: one patch of signal, one of noise (paper, section 2; its binary variant in Fig. 2 and 5).

What is stored are the training examples, with unit noise and no signal scale, so `sigma_n` and `signal_norm` can be
swept over the same files. Test examples follow them in the same random stream and are drawn where they are evaluated,
on the coordinates that some weight reads: a thousand of a million coordinates would take 4 GB a seed.
"""

import numpy as np

from .. import jobs
from ..config.base import RunSettings, read
from ..files import write_arrays
from ..randomness import Stream, generator
from .settings import TwoLayerSettings, TwoPatchData


def signals(data: TwoPatchData) -> np.ndarray:
    """The signal vectors, one row each, float32 [2 or K, d]: +-mu e_1 (binary), mu e_k, or dense ones.

    Dense signals are the first K Walsh functions: entries +-mu / sqrt(d), orthogonal to each other.
    """
    if data.signal == "dense":
        bits = np.arange(data.dimension)[None, :] >> np.arange(data.classes)[:, None] & 1
        return ((1 - 2 * bits) * data.signal_norm / np.sqrt(data.dimension)).astype(np.float32)
    vectors = np.zeros((data.classes, data.dimension), np.float32)
    if data.distribution == "binary":
        vectors[:, 0] = [data.signal_norm, -data.signal_norm]
    else:
        np.fill_diagonal(vectors, data.signal_norm)
    return vectors


def signal_index(data: TwoPatchData, labels: np.ndarray) -> np.ndarray:
    """The row of `signals` that examples with these labels contain."""
    return np.where(labels > 0, 0, 1) if data.distribution == "binary" else labels


def draw(data: TwoPatchData, n: int, rng: Stream, coordinates: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Draw n examples: labels int64 [n], unit noise float32 [n, d], whether the signal is the first patch bool [n].

    Labels are uniform over +-1 or 0..K-1; noise is N(0, I), and 0 on the signal's coordinates if `noise_orthogonal`.
    In the binary variant the signal always comes first (Fig. 2: x = [y e_1, xi]). Filters are shared, so which patch is
    first changes no output. Where only some `coordinates` are wanted, noise is [n, coordinates], the same numbers as
    among all of them.
    """
    coordinates = np.arange(data.dimension) if coordinates is None else coordinates
    labels = rng.integers(data.classes, n)
    noise = rng.normals_at([coordinates] * n, data.dimension).reshape(n, len(coordinates))
    signal_first = rng.signs(n) > 0
    if data.distribution == "binary":
        labels = 1 - 2 * labels
        signal_first[:] = True
    if data.noise_orthogonal:
        noise[:, coordinates < data.signal_coordinates] = 0
    return {"labels": labels, "noise": noise, "signal_first": signal_first}


def draw_test(run: RunSettings, data: TwoPatchData, seed: int, coordinates: np.ndarray) -> dict[str, np.ndarray]:
    """The test examples of a seed, on some coordinates."""
    rng = generator(run.root_seed, run.drawn_as, seed, "data")
    draw(data, data.n_train, rng, coordinates[:0])  # the training examples come first
    return draw(data, data.n_test, rng, coordinates)


def main(arguments: list[str]) -> None:
    """The step `data`: draws the training examples of some seeds."""
    options = jobs.arguments("data", main.__doc__, "npz").parse_args(arguments)
    run = read(options.settings, TwoLayerSettings)
    data = run.settings.at(jobs.point(options)).data
    for seed, path in zip(options.seeds, options.out, strict=True):
        write_arrays(path, **draw(data, data.n_train, generator(run.root_seed, run.drawn_as, seed, "data")))
