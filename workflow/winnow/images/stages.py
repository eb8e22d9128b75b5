"""An experiment on real images as rules: iterative magnitude pruning goes level by level, the other methods do not."""

import re
import shutil
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import model_validator

from .. import paths
from ..config.base import canonical
from ..config.grid import Grid
from .settings import ImageSettings


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
    next_fraction: list[str]
    next_masks: list[str]
    """The masks that the runs of the next level of `imp` start from."""
    constraints: dict[str, str]


class ImagesExperiment(Grid, ImageSettings):
    """A network on real images, trained by minibatch gradient descent."""

    data_step: ClassVar[str] = "images"

    @model_validator(mode="after")
    def _imp_starts_dense(self) -> Self:
        if "shuffled_imp" in self.methods and "imp" not in self.methods:
            raise ValueError(
                "shuffled_imp shuffles the masks of imp: sweep both, as in axes.method: [imp, shuffled_imp]"
            )
        if "imp" in self.methods and min(self.fractions) > 0:
            raise ValueError("fractions: imp starts from the dense network, so 0 must be one of them")
        return self

    @property
    def methods(self) -> list[str]:
        """The pruning methods of the grid."""
        return self.grid.get("method", [self.pruning.method])

    @property
    def resources(self) -> dict[str, int]:
        """What a training job asks for: memory (MB), time (minutes; all of MNIST takes hours), and a GPU if it will use
        one, so that `--resources gpu=N` runs N at a time."""
        device = self.training.device
        gpu = {"gpu": 1} if device == "cuda" or (device == "auto" and shutil.which("nvidia-smi")) else {}
        return {"mem_mb": 2000, "runtime": 240} | gpu

    def stages(self, name: str) -> list[Stage]:
        """The rules that train this experiment.

        Methods that prune at initialization need nothing but the data. Each level of `imp` has a rule of its own,
        because it needs the mask that the level before it wrote; `shuffled_imp` needs the same masks.
        """
        at_start = [method for method in self.methods if method not in ("imp", "shuffled_imp")]
        stages = []
        if at_start:
            stages.append(self._stage(name, "start", {"method": at_start}))
        if "imp" not in self.methods:
            return stages
        levels = [canonical(fraction) for fraction in sorted(self.fractions)]
        for k, (fraction, following) in enumerate(zip(levels, [*levels[1:], None], strict=True)):
            stages.append(self._stage(name, f"imp_{k}", {"method": ["imp"], "fraction": [fraction]}, k > 0, following))
        if "shuffled_imp" in self.methods:
            stages.append(self._stage(name, "shuffled_dense", {"method": ["shuffled_imp"], "fraction": levels[:1]}))
            if levels[1:]:
                constraint = {"method": ["shuffled_imp"], "fraction": levels[1:]}
                stages.append(self._stage(name, "shuffled", constraint, reads=True))
        return stages

    def _stage(
        self, name: str, stage: str, only: dict[str, list[str]], reads: bool = False, following: str | None = None
    ) -> Stage:
        """One stage: `only` narrows wildcards, to a literal where one value is left."""
        axes = list(self.axes)
        fill = {key: only[key][0] if len(only.get(key, [])) == 1 else f"{{{key}}}" for key in [*axes, "fraction"]}

        def masks(fraction: str) -> list[str]:
            place = fill | {"fraction": fraction, "seed": "{seed}"} | ({"method": "imp"} if "method" in axes else {})
            return [paths.masks(name, axes).format(**place)]

        return Stage(
            name=stage,
            point={axis: fill[axis] for axis in axes},
            fraction=fill["fraction"],
            folder="/".join(paths.folders([*axes, "fraction"])).format(**fill),
            run=paths.run(name, axes).format(**fill, seed="{seed}"),
            masks=masks(fill["fraction"]) if reads else [],
            next_fraction=[following] if following else [],
            next_masks=masks(following) if following else [],
            constraints=self.wildcard_constraints | {key: "|".join(map(re.escape, v)) for key, v in only.items()},
        )
