"""Long runs: where a run is, its checkpoint on disk, its progress in the log."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..files import atomic
from .networks import Tensors

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 10.0


@dataclass
class Progress:
    """Where a run is: epochs done, one row (epoch, step, train loss, …) per evaluation, how it ended."""

    epoch: int = 0
    rows: list[tuple] = field(default_factory=list)
    status: str = "max_steps"


class Checkpoint:
    """Saves a run about every minute, beside the file it will write, and resumes it; reports its progress in the log.

    A checkpoint is used only by a run with the same identity (experiment, settings, fraction, seed) and mask.
    """

    def __init__(self, path: str | Path, identity: str, epochs: int, steps_per_epoch: int):
        self.path = Path(path).with_name(f".{Path(path).name}.checkpoint")
        self.identity, self.epochs, self.steps = identity, epochs, steps_per_epoch
        self.started = self.saved = self.reported = time.monotonic()

    def attach(self, state: Tensors, progress: Progress) -> Callable[[Progress], None]:
        """Resume if there is something to resume; return what the training calls after every epoch.

        `state` holds by name all tensors that the training changes; they are written to and filled in place.
        """
        self.state = state
        if self.path.is_file():
            self._resume(progress)
        self.first = progress.epoch
        return self.after_epoch

    def after_epoch(self, progress: Progress) -> None:
        """Save and report when it is time to."""
        now = time.monotonic()
        evaluated = progress.rows[-1][0] == progress.epoch
        if evaluated and now - self.saved > CHECKPOINT_SECONDS:
            self.save(progress)
            self.saved = now
        if now - self.reported > REPORT_SECONDS:
            self.reported = now
            rate = (progress.epoch - self.first) / (now - self.started)
            left = (self.epochs - progress.epoch) / rate
            last = progress.rows[-1]
            print(
                f"epoch {progress.epoch}/{self.epochs}, step {progress.epoch * self.steps}, "
                f"train loss {last[2]:.4g} at epoch {last[0]}, "
                f"{rate * self.steps:.1f} steps/s, at most {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def save(self, progress: Progress) -> None:
        """Write the state and the evaluations so far."""
        about = {"identity": self.identity, "epoch": str(progress.epoch), "rows": json.dumps(progress.rows)}
        with atomic(self.path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in self.state.items()}, temporary, metadata=about)

    def remove(self) -> None:
        """Forget the checkpoint of a finished run."""
        self.path.unlink(missing_ok=True)

    def _resume(self, progress: Progress) -> None:
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata()
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            if about["identity"] != self.identity:
                return
            rows = [tuple(row) for row in json.loads(about["rows"])]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            print(f"warning: {self.path}: broken checkpoint, starting over", file=sys.stderr)
            return
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
        progress.epoch, progress.rows = int(about["epoch"]), rows
        print(f"resumed after epoch {progress.epoch}", file=sys.stderr)
