"""Long runs: where a run is, its checkpoint on disk, its progress in the log."""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import inputs
from ..files import complete
from .networks import Tensors

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 10.0


def write_tensors(path: Path, tensors: Tensors, about: dict[str, str] | None = None) -> None:
    """Write tensors by name from where they lie: a copy of them as bytes would be memory that no job asked for.

    Raises OSError, as any writer does, where safetensors has an error of its own for what the disk does not take.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=about)
    except SafetensorError as error:
        raise OSError(str(error)) from None


@dataclass
class Progress:
    """Where a run is: epochs done, one row (epoch, step, train loss, …) per evaluation, how it ended."""

    epoch: int = 0
    rows: list[tuple] = field(default_factory=list)
    status: str = "max_steps"


def identity(settings: object, files: dict[str, str], device: torch.device) -> dict[str, str]:
    """All that decides the bytes of a run, by name: its settings, the files it reads, this package, the arithmetic.

    The files are those that were read, as they were then. All CPUs have one arithmetic, the core's, which is a file.
    """
    code = sorted(sha256 for path, (_, sha256) in inputs.READ.items() if path.endswith(".py"))
    contents = {name: inputs.digest(path) for name, path in files.items()}
    gpu = f"{torch.__config__.show()}{torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    about = {"settings": json.dumps(settings, sort_keys=True), "arithmetic": gpu}
    return contents | about | {"code": hashlib.sha256("".join(code).encode()).hexdigest()}


class Checkpoint:
    """Saves a run where it is evaluated, at most every minute, beside the file it will write, and resumes it; reports
    its progress in the log.

    Only a run with the same identity resumes from a checkpoint; any other drops it and starts over.
    """

    def __init__(self, path: str | Path, identity: dict[str, str], epochs: int, steps_per_epoch: int):
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
        """Write the state and the evaluations so far; a run whose code or input changed ends here, not hours later."""
        inputs.check_unchanged()
        about = self.identity | {"epoch": str(progress.epoch), "rows": json.dumps(progress.rows)}
        with complete(self.path) as temporary:
            write_tensors(temporary, self.state, about)

    def remove(self) -> None:
        """Forget the checkpoint of a finished run."""
        self.path.unlink(missing_ok=True)

    def _resume(self, progress: Progress) -> None:
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata()
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            epoch, rows = int(about["epoch"]), [tuple(row) for row in json.loads(about["rows"])]
            others = [name for name, value in self.identity.items() if about.get(name) != value]
            problem = f"of a run with other {', '.join(others)}" if others else None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            problem = "broken"
        if problem:
            print(f"warning: {self.path}: checkpoint {problem}, dropped: starting over", file=sys.stderr)
            self.remove()
            return
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
        progress.epoch, progress.rows = epoch, rows
        print(f"resumed after epoch {progress.epoch}", file=sys.stderr)
