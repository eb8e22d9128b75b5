"""The step `train`: one run of gradient descent per seed, one parquet file of evaluations per run."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import torch

from .. import core, jobs
from ..config.base import RunSettings, read
from ..core import Examples, Network, Pattern
from ..files import read_arrays, write_table
from ..randomness import generator
from . import pruning
from .data import draw_test
from .decomposition import Tracker
from .network import build, examples, hidden_shape, read_coordinates
from .settings import FullBatch, TwoLayerSettings


def evaluation_steps(max_steps: int, count: int) -> list[int]:
    """At most `count` (at least 2) log-spaced steps from 0 to max_steps, both included, ascending."""
    top, parts = Decimal(max_steps), max(count - 2, 1)  # numpy's powers are other ones on another processor
    inner = {round(top ** (1 - Decimal(k) / parts)) for k in range(count - 1)}  # from the top: of one alone, the last
    return [0, *sorted(inner)]


@dataclass
class Schedule:
    """The stops that a run still has ahead: it is evaluated at each."""

    steps: list[int]  # ascending; the run ends at the last one
    losses: list[float]  # train losses, nats, descending: it stops at the first step that is not above

    @classmethod
    def of(cls, training: FullBatch) -> "Schedule":
        """Log-spaced steps; milestones, and eps, where the run ends."""
        losses = {*training.milestones, *([training.eps] if training.eps else [])}
        return cls(evaluation_steps(training.max_steps, training.evaluations), sorted(losses, reverse=True))

    def reached(self, step: int, loss: float) -> None:
        """Leave a stop behind."""
        self.steps = [ahead for ahead in self.steps if ahead > step]
        self.losses = [ahead for ahead in self.losses if ahead < loss]


def run(settings: TwoLayerSettings, mask: Pattern, network: Network, train: Examples, test: Examples) -> dict:
    """Train one network and evaluate it at log-spaced steps, and at the first step that reaches each milestone.

    Returns columns of equal length: step, train_loss and test_loss (nats), train_error and test_error (0 to 1), and for
    `class_sums` those of `decomposition.Tracker`, and the scalars density, status and, with an output layer of two
    classes, positive_outputs. A run that diverges ends with its last finite step, whose other values are NaN if that
    step was not one to be evaluated; one that is not finite at step 0 has that step alone, with no values.
    """
    training = settings.training
    tracker = Tracker(network, train, test, settings) if settings.model.output_layer == "class_sums" else None
    start = {} if tracker else positive_outputs(network.output)  # before training changes them
    schedule, rows, step, status = Schedule.of(training), [], 0, "max_steps"
    while schedule.steps and status == "max_steps":
        rates, flat = tracker.rates() if training.flat_below else (training.learning_rate, False)
        left = schedule.steps[0] - step
        trace = core.descend(
            network,
            train,
            steps=min(left, 1) if flat else left,
            learning_rate=rates,
            loss=training.loss,
            reduction=training.reduction,
            train_output=settings.model.output_layer == "trained",
            stop_below=schedule.losses[0] if schedule.losses else None,
            coefficients=tracker and tracker.coefficients,
        )
        step, loss = step + trace.steps, trace.losses[-1].item()
        if trace.status == "diverged":
            rows += _last_finite(rows, trace, step)
            status = "diverged"
        elif trace.status == "below" or trace.steps == left:
            test_loss, test_error, _, losses = core.evaluate(network, test, loss=training.loss)
            row = {"step": step, "train_loss": loss, "train_error": trace.errors[-1].item()}
            row |= {"test_loss": test_loss, "test_error": test_error}
            compared = trace.status == "below" or step == training.max_steps  # at a train loss, or at the end
            rows.append(row | (tracker.measure(losses, compared) if tracker else {}))
            schedule.reached(step, loss)
            if training.eps is not None and loss <= training.eps:
                status = "converged"
    return _columns(rows or [{"step": 0}], tracker) | {"density": mask.density, "status": status} | start


def _columns(rows: list[dict], tracker: Tracker | None) -> dict[str, list]:
    """Evaluations as columns; what the neurons end with is in the last row."""
    unmeasured = dict.fromkeys(("step", *jobs.METRICS), math.nan) | (tracker.unmeasured if tracker else {})
    columns = {name: [row.get(name, nothing) for row in rows] for name, nothing in unmeasured.items()}
    if tracker:
        columns |= {name: [[]] * (len(rows) - 1) + [values] for name, values in tracker.strengths().items()}
    return columns


def positive_outputs(output: torch.Tensor) -> dict[str, int]:
    """How many neurons speak for the first of two classes, label +1, from the output weights [outputs, m].

    Hidden neurons are not negative, so where none or all of the m do, one class can only be fitted by changing the
    sign of an output. Two outputs (cross entropy) decide by their difference; of more there is no such count.
    """
    if len(output) > 2:
        return {}
    towards = output[0] if len(output) == 1 else output[0] - output[1]
    return {"positive_outputs": int((towards > 0).sum())}


def _last_finite(rows: list[dict], trace: core.Trace, step: int) -> list[dict]:
    """The row of the last step with a finite train loss, unless it is there already."""
    if trace.steps == 0 or (rows and rows[-1]["step"] == step - 1):
        return []
    row = {"step": step - 1, "train_loss": trace.losses[-2].item(), "train_error": trace.errors[-2].item()}
    return [row | {"test_loss": math.nan, "test_error": math.nan}]


def main(arguments: list[str]) -> None:
    """Train the runs of some fractions and seeds, one after the other; `--out` has all fractions of a seed together."""
    parser = jobs.training_arguments("train", main.__doc__)
    parser.add_argument("--fraction", required=True, nargs="+", type=float, help="shares of the weights to prune")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    core.load(options.core)
    run_settings = read(options.settings, TwoLayerSettings)
    point = jobs.point(options)
    settings = run_settings.settings.at(point)
    ambiguous = {}
    outs = np.reshape(options.out, (len(options.seeds), len(options.fraction))).tolist()
    for seed, data, files in zip(options.seeds, options.data, outs, strict=True):
        for fraction, out, result in _runs(run_settings, settings, options.fraction, seed, data, files):
            if result["status"] == "diverged":
                _warn_diverged(run_settings.experiment, fraction, seed, settings, result)
            if not all(result.get("decomposition_unique", [True])):
                ambiguous.setdefault(fraction, []).append(seed)
            write_table(out, jobs.run_table(run_settings, point, fraction, seed, result))
    for fraction, seeds in ambiguous.items():
        print(
            f"warning: {run_settings.experiment}, fraction {fraction}: some neuron has at most n + K weights,"
            f" so Definition 14 is not the only decomposition (seeds {', '.join(map(str, seeds))})",
            file=sys.stderr,
        )


def _runs(
    run_settings: RunSettings,
    settings: TwoLayerSettings,
    fractions: list[float],
    seed: int,
    data: str,
    files: list[str],
) -> Iterator[tuple[float, str, dict]]:
    """The runs of a seed: fraction, file and result. Its examples go with it: of two seeds they would not fit."""
    # Masks are nested: what the densest network does not read, none of the others does.
    coordinates = read_coordinates(settings, _mask(run_settings, settings, min(fractions), seed))
    train, test = _examples(run_settings, settings, seed, data, coordinates)
    for fraction, out in zip(fractions, files, strict=True):
        mask = _mask(run_settings, settings, fraction, seed)
        start = generator(run_settings.root_seed, run_settings.drawn_as, seed, "init")
        yield fraction, out, run(settings, mask, build(settings, mask, start, coordinates), train, test)


def _mask(run: RunSettings, settings: TwoLayerSettings, fraction: float, seed: int) -> Pattern:
    rng = generator(run.root_seed, run.drawn_as, seed, "mask")
    shape, signal = hidden_shape(settings), settings.data.signal_coordinates
    return pruning.draw(settings.pruning, shape, fraction, rng, signal)


def _examples(
    run: RunSettings, settings: TwoLayerSettings, seed: int, data: str, coordinates: np.ndarray
) -> tuple[Examples, Examples]:
    """Training examples, from their file, and test examples, of which there is none; on some coordinates."""
    train = read_arrays(data)
    train["noise"] = train["noise"][:, coordinates]
    test = draw_test(run, settings.data, seed, coordinates)
    return examples(settings, train, coordinates), examples(settings, test, coordinates)


def _warn_diverged(experiment: str, fraction: float, seed: int, settings: TwoLayerSettings, result: dict) -> None:
    last = result["step"][-1]
    flat = settings.training.flat_below
    rate = f"{settings.training.learning_rate}{f', flat_below {flat:g}' if flat else ''}"
    print(
        f"warning: {experiment}, fraction {fraction}, seed {seed}: the loss is not finite any more; "
        f"last finite step {last}, learning rate {rate}",
        file=sys.stderr,
    )
