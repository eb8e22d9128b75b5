"""An experiment on real images as rules.

Iterative magnitude pruning goes level by level, the other methods do not. The dense network is trained once for all.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from .. import paths
from ..config.base import canonical
from ..config.grid import Grid
from ..errors import WinnowError
from . import memory
from .methods import AFTER_TRAINING
from .settings import ImageSettings


@cache
def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WinnowError(f"{path}: cannot be read ({error.strerror})") from None


@cache
def torch_finds_a_gpu() -> bool:
    """Whether `device: auto` is a GPU here: asked of torch where there is a driver's tool, which alone proves none.

    In a process of its own, as planning imports no torch.
    """
    ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return bool(shutil.which("nvidia-smi")) and not subprocess.run([sys.executable, "-c", ask]).returncode


@dataclass(frozen=True)
class Stage:
    """The training jobs of one rule: which runs they make, which masks they read and write, all as patterns."""

    name: str
    point: dict[str, str]
    """Swept key -> its wildcard, or the one value that this rule runs."""
    fraction: str
    """Likewise."""
    folder: str
    """The folders that these make of it."""
    run: str
    masks: list[str]
    """The masks that `imp` reached at this fraction, if the runs start from them."""
    below: list[str]
    """The runs that these masks come out of: those of the level of `imp` below."""
    next_fraction: list[str]
    next_masks: list[str]
    """The masks that the runs of the next level of `imp` start from."""
    constraints: dict[str, str]


class ImagesExperiment(Grid, ImageSettings):
    """A network on real images, trained by minibatch gradient descent."""

    data_step: ClassVar[str] = "images"

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        if "device" in self.axes:
            raise ValueError("axes.device: cannot be swept, because it says what jobs ask for; write two experiments")
        return self

    @model_validator(mode="after")
    def _imp_starts_dense(self) -> Self:
        if "shuffled_imp" in self.methods and "imp" not in self.methods:
            raise ValueError(
                "shuffled_imp shuffles the masks of imp: sweep both, as in axes.method: [imp, shuffled_imp]"
            )
        if "imp" in self.methods and "none" not in self.checks:
            raise ValueError("axes.check: imp's own masks are what is checked; allowed: none and others")
        if "imp" in self.methods and min(self.fractions) > 0:
            raise ValueError("fractions: imp starts from the dense network, so 0 must be one of them")
        return self

    @property
    def data_files(self) -> dict[str, str]:
        """The image files of a folder and their sha256: Snakemake goes by times, and what comes out of an archive is
        older than the data that were made before. A file that is missing is told by the job that reads it."""
        files = {path for point in self.points() for path in self.settings.at(point).data.files}
        return {str(path): _sha256(path) for path in sorted(files)}

    @property
    def methods(self) -> list[str]:
        """The pruning methods of the grid."""
        return self.grid.get("method", [self.pruning.method])

    @property
    def checks(self) -> list[str]:
        """What is done to the methods of the grid."""
        return self.grid.get("check", [self.pruning.check])

    @property
    def files_per_seed(self) -> int:
        """How many files a command names for each of its seeds, beside the data: run and masks, or all dense runs."""
        return max(3, len(self.methods))

    @property
    def resources(self) -> dict[str, int | Callable]:
        """What a training job asks for: memory (MB), time (minutes; all of MNIST takes hours), and a GPU if it will use
        one, so that `--resources gpu=N` runs N at a time. A job that is tried again asks for more memory and time."""
        device = self.training.device
        gpu = {"gpu": 1} if device == "cuda" or (device == "auto" and torch_finds_a_gpu()) else {}
        needs = [(point, memory.training_mb(self.settings.at(point))) for point in self.points()]

        def mem_mb(wildcards: Mapping[str, str], attempt: int) -> int:
            return attempt * max(mb for point, mb in needs if all(wildcards.get(k, v) == v for k, v in point.items()))

        def runtime(wildcards: Mapping[str, str], attempt: int) -> int:
            return 240 * attempt

        return {"mem_mb": mem_mb, "runtime": runtime} | gpu

    @property
    def shared(self) -> list[str]:
        """The methods whose network at fraction 0 is the same one, first the one that it is trained as: `imp`, which
        writes its first mask as well, if it is among them. Empty where nothing can be shared."""
        if len(self.methods) == 1 or min(self.fractions) > 0:
            return []
        return sorted(self.methods, key=lambda method: method != "imp")

    def stages(self, name: str) -> list[Stage]:
        """The rules that train this experiment.

        Methods that prune at initialization need nothing but the data. Each level of `imp` has a rule of its own,
        because it needs the mask that the level below it wrote; `shuffled_imp`, and the checks that take a mask as it
        is, need the same masks. Inverted scores make levels of their own. At fraction 0, where no check changes
        anything, only the first of `shared` is trained.
        """
        at_start = [method for method in self.methods if method not in AFTER_TRAINING]
        levels = [canonical(fraction) for fraction in sorted(self.fractions)]
        stages = []
        if self.shared and "imp" not in self.methods:
            stages.append(self._stage(name, "dense", {"method": self.shared[:1], "fraction": levels[:1]}))
        if at_start and (pruned := levels[1:] if self.shared else levels):
            stages.append(self._stage(name, "start", {"method": at_start, "fraction": pruned}))
        if "imp" not in self.methods:
            return stages
        for k, (below, fraction, above) in enumerate(
            zip([None, *levels[:-1]], levels, [*levels[1:], None], strict=True)
        ):
            only = {"method": ["imp"], "fraction": [fraction]}
            taken = [check for check in self.checks if check in ("shuffled", "redrawn")]
            own = {"check": [check for check in self.checks if check not in taken]} if taken else {}
            stages.append(self._stage(name, f"imp_{k}", only | own, below, above))
            if taken:
                stages.append(self._stage(name, f"checked_{k}", only | {"check": taken}, below, of="none"))
            if "shuffled_imp" in self.methods and below:
                stages.append(self._stage(name, f"shuffled_{k}", only | {"method": ["shuffled_imp"]}, below))
        return stages

    def dense_run(self, name: str, method: str) -> str:
        """The run of a method at fraction 0, a pattern over seeds and the other swept keys."""
        return paths.run(name, list(self.axes)).replace("{method}", method).replace("{fraction}", "0")

    def _stage(
        self,
        name: str,
        stage: str,
        only: dict[str, list[str]],
        below: str | None = None,
        above: str | None = None,
        of: str | None = None,
    ) -> Stage:
        """One stage: `only` narrows wildcards, to a literal where one value is left; `below` and `above` are the
        neighbouring levels of `imp` that masks come from and go to, `of` the check that these are under, if another."""
        axes = list(self.axes)
        fill = {key: only[key][0] if len(only.get(key, [])) == 1 else f"{{{key}}}" for key in [*axes, "fraction"]}

        def of_imp(path: Callable, fraction: str) -> list[str]:
            place = fill | {"fraction": fraction, "seed": "{seed}"} | ({"method": "imp"} if "method" in axes else {})
            place |= {"check": of} if of else {}
            return [path(name, axes).format(**place)]

        return Stage(
            name=stage,
            point={axis: fill[axis] for axis in axes},
            fraction=fill["fraction"],
            folder="/".join(paths.folders([*axes, "fraction"])).format(**fill),
            run=paths.run(name, axes).format(**fill, seed="{seed}"),
            masks=of_imp(paths.masks, fill["fraction"]) if below else [],
            below=of_imp(paths.run, below) if below else [],
            next_fraction=[above] if above else [],
            next_masks=of_imp(paths.masks, above) if above else [],
            constraints=self.wildcard_constraints | {key: "|".join(map(re.escape, v)) for key, v in only.items()},
        )
