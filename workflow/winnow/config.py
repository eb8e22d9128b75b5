"""The configuration: experiments with their grids and seeds, and the figures to draw from them.

The Snakefile and the package share these classes; `workflow/schemas/config.schema.json` is generated from them.
"""

import itertools
import json
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from .errors import WinnowError
from .figures import FIGURES
from .settings import SCALES, Fraction, RunSettings, Strict, TwoLayerSettings, TwoPatchData, canonical, validated

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


class Experiment(TwoLayerSettings):
    """The settings of an experiment and the grid they are run over."""

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
    def settings(self) -> TwoLayerSettings:
        """The settings alone, without the grid."""
        return TwoLayerSettings(**{name: getattr(self, name) for name in TwoLayerSettings.model_fields})

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
        return [key for key in self.axes if key in TwoPatchData.model_fields and key not in SCALES]

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Each wildcard matches the configured values only, so that nothing else can be scheduled."""
        return {key: "|".join(map(re.escape, values)) for key, values in self.grid.items()}

    def points(self) -> list[dict[str, str]]:
        """Every combination of the swept values (one empty point when nothing is swept)."""
        values = itertools.product(*(self.grid[key] for key in self.axes))
        return [dict(zip(self.axes, combination, strict=True)) for combination in values]


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
