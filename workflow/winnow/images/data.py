"""The images of a run: a seeded stratified split, what tables call it, and what a network sees of it."""

import itertools

import numpy as np

from .. import jobs
from ..config.base import read
from ..errors import WinnowError
from ..files import write_arrays
from ..randomness import Stream, generator
from .settings import CLASSES, ImageData, ImageSettings
from .sources import CIFAR10_COUNTS, MNIST_COUNTS, images_of

BLOCK = 1000  # images of which a float64 copy is made at once


def stratified(labels: np.ndarray, n_test: int, rng: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a training and a test set, ascending; the test set holds n_test images in the classes' proportions.

    Fractions of an image are settled by largest remainder, so that the test set has exactly n_test.
    """
    counts = np.bincount(labels, minlength=CLASSES)
    exact = counts * n_test / len(labels)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: n_test - quota.sum()]] += 1
    test = [np.flatnonzero(labels == c)[rng.permutation(counts[c])[: quota[c]]] for c in range(CLASSES)]
    held_out = np.zeros(len(labels), bool)
    held_out[np.concatenate(test)] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def draw(data: ImageData, rng: Stream) -> dict[str, np.ndarray]:
    """The training and test set of one seed: {train,test}_{images,labels}.

    Data that comes with a test set of its own keeps it; otherwise n_test images are held out. Raises WinnowError where
    its images have another size, and where all pixels of the training images are the same: they could not be scaled to
    a standard deviation of 1.
    """
    splits = images_of(data.source)
    if "all" in splits:
        images, labels = splits["all"]
        parts = stratified(labels, data.n_test, rng)
        splits = {s: (images[i], labels[i]) for s, i in zip(("train", "test"), parts, strict=True)}
    sizes = {split: " x ".join(map(str, images.shape[2:])) for split, (images, _) in splits.items()}
    if sizes["train"] != sizes["test"]:
        said = f"training images of {sizes['train']} pixels, test images of {sizes['test']}"
        raise WinnowError(f"data.source = {data.source}: {said}; they must be of one size")
    level, brightest = splits["train"][0].min(), splits["train"][0].max()
    if level == brightest:
        raise WinnowError(f"data.source = {data.source}: all pixels of the training images are {level}; they must vary")
    return {f"{s}_{k}": a for s, pair in splits.items() for k, a in zip(("images", "labels"), pair, strict=True)}


def name(data: ImageData, arrays: dict[str, np.ndarray]) -> str:
    """What tables call the data: its source, or for files what is in them by the count of each class.

    `mnist` and `cifar10` are the whole of these; other IDX files are `idx`, other records `cifar10-part`.
    """
    kind, _, folder = data.source.partition(":")
    if not folder:
        return data.source
    counts = tuple(tuple(np.bincount(arrays[f"{s}_labels"], minlength=CLASSES).tolist()) for s in ("train", "test"))
    if kind == "idx":
        return "mnist" if counts == MNIST_COUNTS else "idx"
    return "cifar10" if counts == CIFAR10_COUNTS else "cifar10-part"


def inputs(arrays: dict[str, np.ndarray], sigma: float, rng: Stream) -> dict[str, np.ndarray]:
    """What the network sees, `train` and `test`, float32 [n, channels, height, width].

    Pixels in 0..1 plus N(0, sigma^2), drawn once (the noise belongs to the example and can be memorized), and then
    shifted and scaled so that all training pixels together have mean 0 and standard deviation 1.
    """
    seen = {split: np.empty(arrays[f"{split}_images"].shape, np.float32) for split in ("train", "test")}
    for split, pixels in seen.items():
        for block, stored in zip(_blocks(pixels), _blocks(arrays[f"{split}_images"]), strict=True):
            np.divide(stored, np.float32(255), out=block)
            if sigma > 0:
                block += np.float32(sigma) * rng.normals(*block.shape)
    mean = sum(block.sum(dtype=np.float64) for block in _blocks(seen["train"])) / seen["train"].size
    squares = sum(np.square(block - mean, dtype=np.float64).sum() for block in _blocks(seen["train"]))
    std = np.sqrt(squares / seen["train"].size)
    for block in itertools.chain(*map(_blocks, seen.values())):
        block -= np.float32(mean)
        block /= np.float32(std)
    return seen


def _blocks(array: np.ndarray) -> list[np.ndarray]:
    """Views of BLOCK images each, so that no step needs a second copy of all of them."""
    return [array[start : start + BLOCK] for start in range(0, len(array), BLOCK)]


def main(arguments: list[str]) -> None:
    """The step `images`: writes the training and test images of some seeds."""
    options = jobs.arguments("images", main.__doc__, "npz").parse_args(arguments)
    run = read(options.settings, ImageSettings)
    data = run.settings.at(jobs.point(options)).data
    for seed, path in zip(options.seeds, options.out, strict=True):
        write_arrays(path, **draw(data, generator(run.root_seed, run.drawn_as, seed, "data")))
