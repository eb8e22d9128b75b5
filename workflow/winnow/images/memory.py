"""How much memory a training job takes, which its rule asks for: plain arithmetic, as planning imports no torch."""

import itertools
import math
from pathlib import Path

from ..errors import WinnowError
from .methods import METHODS
from .settings import CLASSES, EVALUATED, SCORED, SOURCES, VGG_CONVOLUTIONS, ImageData, ImageNetwork, ImageSettings

# Bytes, rounded up from measured peaks.
START = 1100e6  # the interpreter, pyarrow and torch's build for CUDA, which pip installs; that for CPUs: 450e6
PIXEL = 7  # stored as one byte, seen as four
STEP = 13  # of every output of a layer that is pruned, for every image of a step
EVALUATION = 17  # of every output of the largest layer, for every image evaluated at once


def training_mb(settings: ImageSettings) -> int:
    """What a job that trains one network at a time takes, MB."""
    images, shape = stored_images(settings.data)
    method, sizes = METHODS[settings.pruning.method], layers(settings.model, shape)
    weights, outputs = (sum(numbers) for numbers in zip(*sizes, strict=True))
    step = STEP * min(settings.training.batch_size, images) * outputs
    scoring = method.score_bytes * min(SCORED, images) * outputs
    evaluation = EVALUATION * min(EVALUATED, images) * max(output for _, output in sizes)
    kept = PIXEL * images * math.prod(shape) + method.weight_bytes * weights
    return math.ceil((START + kept + max(step, scoring, evaluation)) / 1e6)


def stored_images(data: ImageData) -> tuple[int, tuple[int, int, int]]:
    """How many images a run has in memory, train and test, and their shape."""
    train, test, shape = _known("data.source", data.source.partition(":")[0], SOURCES, "settings.py")
    return train + test, shape


def layers(model: ImageNetwork, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """The layers of a network that can be pruned: how many weights each has, and how many outputs for one image."""
    return _known("model.architecture", model.architecture, LAYERS, Path(__file__).name)(model, *shape)


def _known(key: str, value: str, table: dict, file: str):
    """What a table of a file says of a value. Raises WinnowError where the value was added elsewhere only."""
    if value not in table:
        raise WinnowError(f"{key} = {value}: {file} does not say how large it is; add it there")
    return table[value]


def _mlp(model: ImageNetwork, *shape: int) -> list[tuple[int, int]]:
    return [(a * b, b) for a, b in itertools.pairwise([math.prod(shape), *model.hidden, CLASSES])]


def _vgg(model: ImageNetwork, channels: int, *sides: int) -> list[tuple[int, int]]:
    found = []
    for stage, convolutions in enumerate(VGG_CONVOLUTIONS[model.depth]):
        if stage > 0 and min(sides) >= 4:
            sides = [side // 2 for side in sides]
        for _ in range(convolutions):
            width = model.width * min(2**stage, 8)
            found.append((9 * channels * width, width * math.prod(sides)))
            channels = width
    return [*found, (channels * CLASSES, CLASSES)]


def _resnet(model: ImageNetwork, channels: int, *sides: int) -> list[tuple[int, int]]:
    width = model.width
    found = [(9 * channels * width, width * math.prod(sides))]
    channels = width
    for stage, _ in itertools.product(range(3), range((model.depth - 2) // 6)):
        width = model.width * 2**stage
        if width != channels:
            sides = [math.ceil(side / 2) for side in sides]
            found.append((channels * width, width * math.prod(sides)))
        found += [(9 * inputs * width, width * math.prod(sides)) for inputs in (channels, width)]
        channels = width
    return [*found, (channels * CLASSES, CLASSES)]


LAYERS = {"mlp": _mlp, "vgg": _vgg, "resnet": _resnet}
