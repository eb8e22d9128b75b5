"""The step `train-images`: one run of minibatch gradient descent per seed on real images, one parquet file per run."""

import argparse
import copy
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.functional import cross_entropy, pad

from .. import core, jobs
from ..config.base import RunSettings, read
from ..errors import WinnowError
from ..files import atomic, read_arrays, used, write_table
from ..jobs import METRICS
from ..randomness import Stream, generator
from . import data, networks, pruning
from .checkpoint import Checkpoint, Progress, identity, write_tensors
from .methods import AFTER_TRAINING
from .networks import Tensors
from .settings import CLASSES, EVALUATED, ImageSettings, Minibatch

STREAMS = ("noise", "init", "mask", "order", "augmentation")
SHIFT = 4  # pixels, the most that augmentation moves an image either way
MOVES = (2 * SHIFT + 1, 2 * SHIFT + 1, 2)  # how many rows and columns there are to start from, mirrored or not
Splits = dict[str, tuple[torch.Tensor, torch.Tensor]]
Attach = Callable[[Tensors, Progress], Callable[[Progress], None]]  # as Checkpoint.attach


def nothing_to_resume(state: Tensors, progress: Progress) -> Callable[[Progress], None]:
    """In place of a checkpoint: starts at the beginning and saves nothing."""
    return lambda progress: None


def train(
    network: nn.Module,
    training: Minibatch,
    splits: Splits,
    streams: dict[str, Stream],
    progress: Progress,
    checkpoint: Attach = nothing_to_resume,
) -> None:
    """Train a network in place from `progress.epoch` on; `progress` gets the evaluations and the status.

    `splits` maps train and test to (inputs float32 [n, channels, height, width], labels int64 [n]). A run that diverges
    ends with the weights and the row of its last evaluation. The order of the examples and their augmentation depend on
    the streams of that name alone, so a resumed run sees what an uninterrupted one sees. On a CPU the core trains the
    network. On a GPU it is compiled and computes in bfloat16 where that is safe; weights and their updates stay
    float32.
    """
    inputs, labels = splits["train"]
    batches = math.ceil(len(inputs) / training.batch_size)
    forward = torch.compile(network, dynamic=False) if inputs.device.type == "cuda" else network
    velocities = {f"velocity.{n}": torch.zeros_like(p) for n, p in network.named_parameters() if training.momentum}
    step = stepper(network, forward, training, list(velocities.values()))
    after_epoch = checkpoint(network.state_dict() | velocities, progress)
    epochs = examples(streams, len(inputs), training, inputs.device)
    for _ in range(progress.epoch):
        next(epochs)
    if not progress.rows:
        progress.rows.append((0, 0, *measure(with_batch_statistics(network, inputs), splits)))
    good = copy.deepcopy(network.state_dict())
    while progress.status == "max_steps" and progress.epoch < training.epochs:
        rate, total = rate_of(training, progress.epoch), 0
        for batch, moves in next(epochs):
            seen = inputs[batch] if moves is None else augmented(inputs[batch], moves)
            total += step(seen, labels[batch], rate)
        progress.epoch += 1
        finite = math.isfinite(total)
        if finite and (progress.epoch % training.evaluate_every == 0 or progress.epoch == training.epochs):
            values = measure(forward, splits)
            finite = math.isfinite(values[0])
            if finite:
                progress.rows.append((progress.epoch, progress.epoch * batches, *values))
                good = copy.deepcopy(network.state_dict())
            if training.eps is not None and values[0] < training.eps:
                progress.status = "converged"
        if not finite:
            progress.status = "diverged"
        if progress.status == "max_steps":
            after_epoch(progress)
    network.load_state_dict(good)


def rate_of(training: Minibatch, epoch: int) -> float:
    """The learning rate after so many epochs."""
    return training.learning_rate / 10 ** sum(epoch >= drop for drop in training.rate_drops)


def stepper(
    network: nn.Module, forward: nn.Module, training: Minibatch, velocities: list[torch.Tensor]
) -> Callable[[torch.Tensor, torch.Tensor, float], float | torch.Tensor]:
    """What makes a step on (images, labels, learning rate) and returns the mean loss before it, nats, float64.

    `forward` is the network, perhaps compiled; there is a velocity for every parameter, or none.
    """
    if own := networks.on_core(network):
        return lambda x, y, rate: own.step(x, y, rate, training.momentum, training.weight_decay, velocities)

    def step(x: torch.Tensor, y: torch.Tensor, rate: float) -> torch.Tensor:
        with precision(x):
            loss = cross_entropy(forward(x), y)
        update(loss, network, velocities, training, rate)
        return loss.detach().double()

    return step


def precision(inputs: torch.Tensor) -> torch.autocast:
    """On a GPU bfloat16 where that is safe."""
    return torch.autocast("cuda", torch.bfloat16, enabled=inputs.device.type == "cuda")


def update(
    loss: torch.Tensor, network: nn.Module, velocities: list[torch.Tensor], training: Minibatch, rate: float
) -> None:
    """Move the parameters down the gradient of a loss, with momentum if there are velocities.

    `torch.optim.SGD` computes the same; its first use imports the compiler, a second in every job.
    """
    parameters = list(network.parameters())
    changes = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        if training.weight_decay:
            changes = torch._foreach_add(changes, parameters, alpha=training.weight_decay)
        if training.momentum:
            torch._foreach_mul_(velocities, training.momentum)
            torch._foreach_add_(velocities, changes)
            changes = velocities
        torch._foreach_sub_(parameters, changes, alpha=rate)


def examples(
    streams: dict[str, Stream], n: int, training: Minibatch, device: torch.device
) -> Iterator[Iterator[tuple[torch.Tensor, torch.Tensor | None]]]:
    """For every epoch its batches: the indices of the examples, and how `augmented` moves them if they are to be."""
    while True:
        order = torch.from_numpy(streams["order"].permutation(n)).to(device).split(training.batch_size)
        if training.augment:
            draws = np.stack([streams["augmentation"].integers(high, n) for high in MOVES], axis=1)
            yield zip(order, torch.from_numpy(draws).to(device).split(training.batch_size), strict=True)
        else:
            yield ((batch, None) for batch in order)


def augmented(images: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Images [n, channels, height, width], each shifted and perhaps mirrored; what enters the image is 0, the mean.

    `moves` is [n, 3]: where the crop of the image padded by SHIFT starts (row, column; SHIFT is no shift), and 1 to
    mirror left and right.
    """
    n, channels, height, width = images.shape
    rows = moves[:, :1] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(n, width)
    columns = moves[:, 1:2] + torch.where(moves[:, 2:] == 1, columns.flip(1), columns)
    padded = pad(images, [SHIFT] * 4)
    each = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[:, None, None]
    return padded[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


@torch.no_grad()
def with_batch_statistics(network: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """A copy of a network whose batch norms know the training set; before the first step they know nothing.

    `inputs` pass in their order and in even blocks of at most EVALUATED. What batch norm then evaluates with is the
    mean over the blocks of their means and variances.
    """
    measured, blocks = copy.deepcopy(network).train(), inputs.tensor_split(math.ceil(len(inputs) / EVALUATED))
    if own := networks.on_core(measured):
        own.take_statistics(blocks)
        return measured
    for module in measured.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # to torch, the mean over all batches
    with precision(inputs):
        for block in blocks:
            measured(block)
    return measured


@torch.no_grad()
def measure(network: nn.Module, splits: Splits, rows: int = EVALUATED) -> tuple:
    """METRICS of a network: mean cross-entropy (nats) and share of errors, on train and on test.

    Batch norm uses its running statistics.
    """
    if own := networks.on_core(network):
        return tuple(value for s in ("train", "test") for value in own.evaluate(*splits[s]))
    values = []
    network.eval()
    for split in ("train", "test"):
        inputs, labels = splits[split]
        with precision(inputs):
            parts = [(network(x).float(), y) for x, y in zip(inputs.split(rows), labels.split(rows), strict=True)]
        loss = sum(cross_entropy(z, y, reduction="sum").item() for z, y in parts)
        errors = sum(int((z.argmax(dim=1) != y).sum()) for z, y in parts)
        values += [loss / len(inputs), errors / len(inputs)]
    network.train()
    return tuple(values)


def chosen_device(training: Minibatch) -> torch.device:
    """The device to train on. Raises WinnowError when a GPU is asked for and there is none."""
    if training.device == "cpu" or (training.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise WinnowError("training.device = cuda: torch finds no GPU here; allowed: cpu, auto, or cuda beside a GPU")
    return torch.device("cuda")


def run(
    settings: ImageSettings,
    arrays: dict[str, np.ndarray],
    fraction: float,
    streams: dict[str, Stream],
    imp_mask: Tensors | None = None,
    checkpoint: Attach = nothing_to_resume,
) -> tuple[dict, nn.Module, Tensors]:
    """Prune and train one network.

    `streams` holds the generators of STREAMS. It is drawn and pruned on the CPU, trained on the configured device and
    returned on the CPU. Returns the columns of the run (epoch, step, METRICS and the scalars data, density,
    collapsed_layers, connected_share, status), the trained network and its mask.
    """
    pixels = data.inputs(arrays, settings.data.sigma, streams["noise"])
    splits = {s: (torch.from_numpy(pixels[s]), torch.from_numpy(arrays[f"{s}_labels"])) for s in pixels}
    device = chosen_device(settings.training)
    network = networks.build(settings.model, pixels["train"].shape[1:], CLASSES, streams["init"])
    masks = pruning.draw(settings.pruning, network, fraction, *splits["train"], streams["mask"], imp_mask)
    connected_share = pruning.connected_share(network, masks)
    if settings.pruning.check == "redrawn" and fraction > 0:
        network = networks.build(settings.model, pixels["train"].shape[1:], CLASSES, streams["init"])
    if device.type == "cuda":
        print(f"training on {torch.cuda.get_device_name()}", file=sys.stderr)
        network.to(device, memory_format=torch.channels_last)
        splits = {s: (x.to(device, memory_format=torch.channels_last), y.to(device)) for s, (x, y) in splits.items()}
    networks.compress(network, masks)
    progress = Progress()
    train(network, settings.training, splits, streams, progress, checkpoint)
    network.to("cpu", memory_format=torch.contiguous_format)
    weights = networks.prunable(network)
    assert all(not weights[name][~mask].any() for name, mask in masks.items()), "a pruned weight is not zero"
    columns = dict(zip(("epoch", "step", *METRICS), zip(*progress.rows, strict=True), strict=True))
    scalars = {
        "data": data.name(settings.data, arrays),
        "density": pruning.density(masks),
        "collapsed_layers": pruning.collapsed_layers(masks),
        "connected_share": connected_share,
        "status": progress.status,
    }
    return columns | scalars, network, masks


def read_masks(path: str | Path) -> Tensors:
    """Read the masks of a network. Raises WinnowError naming a missing or broken file."""
    try:
        with safe_open(used(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise WinnowError(f"{path}: cannot be read as masks ({error}); delete it and run again") from None


def write_masks(path: str | Path, masks: Tensors) -> None:
    """Write the masks of a network."""
    with atomic(path) as temporary:
        write_tensors(temporary, masks)


def main(arguments: list[str]) -> None:
    """Train the runs of one fraction and some seeds on images, one after the other."""
    parser = jobs.training_arguments("train-images", main.__doc__)
    parser.add_argument("--fraction", required=True, type=float, help="share of the weights that is pruned")
    parser.add_argument("--masks", nargs="*", default=[], help="one safetensors per seed: the mask reached by imp")
    parser.add_argument("--next-fraction", nargs="*", type=float, default=[], help="imp: that of the next level")
    parser.add_argument("--next-masks", nargs="*", default=[], help="imp: one safetensors per seed for the next level")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    core.load(options.core)
    run_settings = read(options.settings, ImageSettings)
    point = jobs.point(options)
    settings = run_settings.settings.at(point)
    _check_masks(options, settings.pruning.method)
    if settings.training.device == "auto":
        print(f"training.device = auto: training on the {chosen_device(settings.training).type}", file=sys.stderr)
    for i, (seed, arrays, out) in enumerate(zip(options.seeds, options.data, options.out, strict=True)):
        files = {"data": arrays, "core": options.core} | ({"mask": options.masks[i]} if options.masks else {})
        network, kept = _run_one(run_settings, point, options.fraction, seed, files, out)
        if options.next_masks:
            weights = networks.prunable(network, settings.pruning.prune_output)
            inverted = settings.pruning.check == "inverted"
            write_masks(options.next_masks[i], pruning.imp_level(weights, kept, *options.next_fraction, inverted))


def _check_masks(options: argparse.Namespace, method: str) -> None:
    """Raise WinnowError unless each seed has the masks that it reads and writes, and no others."""
    for name in ("masks", "next_masks"):
        given = len(getattr(options, name))
        if given not in (0, len(options.seeds)):
            key = f"--{name.replace('_', '-')}"
            raise WinnowError(f"{key}: {given} files; must be one for each of the {len(options.seeds)} seeds")
    if options.masks and (method not in AFTER_TRAINING or options.fraction == 0):
        raise WinnowError(f"--masks: {method} starts from none at fraction {options.fraction}; must not be given")
    if options.next_masks and (method != "imp" or len(options.next_fraction) != 1):
        raise WinnowError("--next-masks: only imp writes them, and needs the one --next-fraction that they are for")


def _run_one(
    run_settings: RunSettings[ImageSettings],
    point: dict[str, str],
    fraction: float,
    seed: int,
    files: dict[str, str],
    out: str,
) -> tuple[nn.Module, Tensors]:
    """Run one seed from its files, resuming it if it was interrupted, and write its own; return what the next level
    needs."""
    settings, name = run_settings.settings.at(point), run_settings.experiment
    streams = {s: generator(run_settings.root_seed, run_settings.drawn_as, seed, s) for s in STREAMS}
    arrays, imp_mask = read_arrays(files["data"]), read_masks(files["mask"]) if "mask" in files else None
    known = identity([run_settings.model_dump(), point, fraction, seed], files, chosen_device(settings.training))
    steps = math.ceil(len(arrays["train_labels"]) / settings.training.batch_size)
    checkpoint = Checkpoint(out, known, settings.training.epochs, steps)
    result, network, masks = run(settings, arrays, fraction, streams, imp_mask, checkpoint.attach)
    where = f"{name}, {settings.pruning.method}, fraction {fraction}, seed {seed}"
    if result["status"] == "diverged":
        rate = settings.training.learning_rate
        last = f"last evaluation at step {result['step'][-1]}, learning rate {rate}"
        print(f"warning: {where}: the loss is not finite any more; {last}", file=sys.stderr)
    if result["collapsed_layers"]:
        print(f"warning: {where}: {result['collapsed_layers']} layers keep no weight at all", file=sys.stderr)
    elif not result["connected_share"]:
        print(f"warning: {where}: no kept weight lies on a path from input to output", file=sys.stderr)
    write_table(out, jobs.run_table(run_settings, point, fraction, seed, result))
    checkpoint.remove()
    return network, masks
