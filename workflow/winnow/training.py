"""The step `train`: one run of gradient descent per seed, one parquet file of evaluations per run."""

import argparse
import math
import sys

import numpy as np
import torch

from . import core, masks, models
from .files import read_arrays, write_table
from .randomness import generator
from .settings import RunSettings, TwoLayerSettings, read

STATUS = {"running": "max_steps", "below": "converged", "diverged": "diverged"}


def evaluation_steps(max_steps: int, count: int) -> list[int]:
    """About `count` log-spaced steps from 0 to max_steps, both included, each once."""
    inner = np.geomspace(1, max_steps, count - 1).round().astype(int)
    return [0, *sorted(set(inner.tolist()))]


def run(settings: TwoLayerSettings, arrays: dict[str, np.ndarray], fraction: float, mask_rng, init_rng) -> dict:
    """Train one network and evaluate it at log-spaced steps.

    Returns columns of equal length: step, train_loss, train_error, test_loss, test_error, and the scalars density
    and status. A run that diverges ends with its last finite step, whose test values are NaN if that step was not
    one to be evaluated; one that is not finite at step 0 has that step alone, with no values.
    """
    training = settings.training
    pattern = masks.draw(settings.pruning, models.hidden_shape(settings), fraction, mask_rng)
    network = models.network(settings, pattern, init_rng)
    train, test = (models.examples(settings, arrays, split) for split in ("train", "test"))

    rows, step, status = [], 0, "running"
    for target in evaluation_steps(training.max_steps, training.evaluations):
        trace = core.descend(
            network,
            train,
            steps=target - step,
            learning_rate=training.learning_rate,
            loss=training.loss,
            reduction=training.reduction,
            train_output=settings.model.output_layer == "trained",
            stop_below=training.eps,
        )
        step, status = step + trace.steps, trace.status
        if status == "diverged":
            rows.extend(_last_finite(rows, trace, step))
            break
        test_loss, test_error, _ = core.evaluate(network, test, loss=training.loss)
        rows.append((step, trace.losses[-1].item(), trace.errors[-1].item(), test_loss, test_error))
        if status == "below":
            break
    names = ("step", "train_loss", "train_error", "test_loss", "test_error")
    rows = rows or [(0, math.nan, math.nan, math.nan, math.nan)]
    return dict(zip(names, zip(*rows, strict=True), strict=True)) | {
        "density": pattern.density,
        "status": STATUS[status],
    }


def _last_finite(rows: list[tuple], trace: core.Trace, step: int) -> list[tuple]:
    """The row of the last step with a finite train loss, unless it is there already."""
    if trace.steps == 0 or (rows and rows[-1][0] == step - 1):
        return []
    return [(step - 1, trace.losses[-2].item(), trace.errors[-2].item(), math.nan, math.nan)]


def table(run_settings: RunSettings, point: dict[str, str], fraction: float, seed: int, result: dict) -> dict:
    """The columns of a run's file: every column a reader needs, so that any folder of runs reads as one table."""
    settings = run_settings.settings.at(point)
    n = len(result["step"])
    constants = {
        "experiment": run_settings.experiment,
        "method": settings.pruning.method,
        "fraction": fraction,
        "seed": seed,
        "density": result["density"],
        "status": result["status"],
    } | {key: float(value) if settings.axis_is_number(key) else value for key, value in point.items()}
    return {key: [value] * n for key, value in constants.items()} | {
        key: list(result[key]) for key in ("step", "train_loss", "train_error", "test_loss", "test_error")
    }


def main(arguments: list[str]) -> None:
    """Train the runs of one fraction and some seeds, one after the other."""
    parser = argparse.ArgumentParser(prog="python workflow train", description=main.__doc__)
    parser.add_argument("--settings", required=True, help="experiment.json")
    parser.add_argument("--core", required=True, help="the compiled core")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="swept settings")
    parser.add_argument("--fraction", required=True, type=float, help="share of the weights that is pruned")
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--data", nargs="+", required=True, help="one npz per seed")
    parser.add_argument("--out", nargs="+", required=True, help="one parquet per seed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    core.load(options.core)
    run_settings = read(options.settings)
    point = dict(item.split("=", 1) for item in options.set)
    settings = run_settings.settings.at(point)
    for seed, data, out in zip(options.seeds, options.data, options.out, strict=True):
        streams = [generator(run_settings.root_seed, run_settings.experiment, seed, s) for s in ("mask", "init")]
        result = run(settings, read_arrays(data), options.fraction, *streams)
        if result["status"] == "diverged":
            _warn_diverged(run_settings.experiment, options.fraction, seed, settings, result)
        write_table(out, table(run_settings, point, options.fraction, seed, result))


def _warn_diverged(experiment: str, fraction: float, seed: int, settings: TwoLayerSettings, result: dict) -> None:
    last = result["step"][-1]
    rate = settings.training.learning_rate
    print(
        f"warning: {experiment}, fraction {fraction}, seed {seed}: the loss is not finite any more; "
        f"last finite step {last}, learning rate {rate}",
        file=sys.stderr,
    )
