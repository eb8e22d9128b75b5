"""The configuration: experiments with their grids and seeds, and the figures to draw from them.

The Snakefile and the package share these classes; `workflow/schemas/config.schema.json` is generated from them.
"""

import itertools
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from .. import paths
from ..errors import WinnowError
from ..figures import CLAIMS, FIGURES, PRACTICE
from .settings import (
    SCALES,
    Fraction,
    ImageSettings,
    RunSettings,
    Settings,
    Strict,
    TwoLayerSettings,
    canonical,
    validated,
)

RESERVED = ("core", "figures", "logs", "provenance", "bench", "pages")  # other folders of results/


def _distinct(values: list) -> list:
    spelled = [canonical(value) for value in values]
    twice = [value for value in dict.fromkeys(spelled) if spelled.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice; every value must be distinct")
    return values


def _free_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name} is a folder of results/ already; choose another name")
    return name


def _tag(value: object) -> str:
    kinds = {bool: "switch", int: "number", float: "number"}
    return kinds.get(type(value), "word")


Distinct = AfterValidator(_distinct)
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$"), AfterValidator(_free_name)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]
AxisValue = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[float, Tag("number")] | Annotated[Word, Tag("word")],
    Discriminator(_tag),
]
Seeds = Annotated[
    Annotated[int, Field(ge=1), Tag("count")]
    | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), Distinct, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "count"),
]


class Grid(Settings):
    """The settings of an experiment (the class beside this one) and the grid they are run over."""

    fractions: Annotated[list[Fraction], Field(min_length=1), Distinct]
    """Fractions of the weights pruned at initialization, each in [0, 1)."""
    axes: dict[str, Annotated[list[AxisValue], Field(min_length=1), Distinct]] = {}
    """Further settings to sweep, by key: `sigma_n: [0.5, 1]` runs the whole grid at both."""
    seeds: Seeds
    """How many seeds (0, 1, …), or the list of them."""
    seeds_per_job: Annotated[int, Field(ge=1)] = 1
    """How many seeds one job runs; more than 1 pays where a run is shorter than the start of an interpreter."""

    @model_validator(mode="after")
    def _every_point_is_valid(self) -> Self:
        try:
            for point in self.points():
                self.settings.at(point)
        except WinnowError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def settings(self) -> Settings:
        """The settings alone, without the grid."""
        kind = next(base for base in type(self).__mro__ if not issubclass(base, Grid))
        return kind(**{name: getattr(self, name) for name in kind.model_fields})

    @property
    def seed_list(self) -> list[int]:
        """The seeds, spelled out."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def batches(self) -> dict[str, list[str]]:
        """Seeds by the job that runs them: batch `seed // seeds_per_job`, or any one seed when a job runs one."""
        if self.seeds_per_job == 1:
            return {"{seed}": ["{seed}"]}
        batches = {}
        for seed in self.seed_list:
            batches.setdefault(str(seed // self.seeds_per_job), []).append(str(seed))
        return batches

    @property
    def grid(self) -> dict[str, list[str]]:
        """Every wildcard of a run's path and its values, as they stand in paths."""
        spelled = {key: [canonical(value) for value in values] for key, values in self.axes.items()}
        return spelled | {"fraction": [canonical(f) for f in self.fractions], "seed": [str(s) for s in self.seed_list]}

    @property
    def data_axes(self) -> list[str]:
        """The swept keys that change the data."""
        return [key for key in self.axes if key in self.sections()["data"].model_fields and key not in SCALES]

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Each wildcard matches the configured values only, so that nothing else can be scheduled."""
        return {key: "|".join(map(re.escape, values)) for key, values in self.grid.items()}

    def points(self) -> list[dict[str, str]]:
        """Every combination of the swept values (one empty point when nothing is swept)."""
        values = itertools.product(*(self.grid[key] for key in self.axes))
        return [dict(zip(self.axes, combination, strict=True)) for combination in values]


class TwoLayerExperiment(Grid, TwoLayerSettings):
    """The two-layer network on signal and noise, trained by full-batch gradient descent on the compiled core."""

    data_step: ClassVar[str] = "data"


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


Experiment = Annotated[TwoLayerExperiment | ImagesExperiment, Field(discriminator="kind")]


class Config(Strict):
    """A whole configuration file."""

    root_seed: Annotated[int, Field(ge=0)] = 0
    """Root of all random streams."""
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]
    """The experiments by name."""
    figures: Annotated[list[str], Distinct]
    """The figures to draw, by name."""

    @model_validator(mode="after")
    def _figures_can_be_drawn(self) -> Self:
        for name in self.figures:
            if name not in FIGURES:
                raise ValueError(f"figures: {name} is unknown; allowed: {', '.join(FIGURES)}")
            missing = [e for e in FIGURES[name].experiments if e not in self.experiments]
            if missing:
                raise ValueError(f"figures: {name} needs the experiment {missing[0]}, which is not configured")
        return self

    def of_kind(self, kind: str) -> dict[str, Grid]:
        """The experiments of one kind, by name."""
        return {name: experiment for name, experiment in self.experiments.items() if experiment.kind == kind}

    @property
    def judged(self) -> list[str]:
        """The experiments that the claims are judged from; none if one of the theory's is not configured."""
        if not set(CLAIMS) <= set(self.experiments):
            return []
        return [*CLAIMS, *(name for name in PRACTICE if name in self.experiments)]

    @property
    def calibrations(self) -> list[str]:
        """The experiments that search the unstated settings of figure 2."""
        return [name for name in self.experiments if name.split("-")[0] == "calibration"]

    def run_settings(self, experiment: str) -> RunSettings:
        """What `results/<experiment>/experiment.json` holds."""
        settings = self.experiments[experiment].settings
        return RunSettings(experiment=experiment, root_seed=self.root_seed, settings=settings)


def load(tree: dict, where: str = "config") -> Config:
    """Check a configuration. Raises WinnowError with one line a mistake: key, value, what is allowed."""
    return validated(Config, tree, where)


def schema() -> str:
    """The JSON schema of the configuration, as the text of `workflow/schemas/config.schema.json`."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def main(arguments: list[str]) -> None:
    """The step `schema`: writes the schema that editors use."""
    Path(arguments[0]).write_text(schema())
