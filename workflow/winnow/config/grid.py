"""The grid that an experiment is run over: pruned fractions, further swept keys, seeds, and how jobs share them."""

import itertools
import re
from typing import Annotated, Self

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from ..errors import WinnowError
from .base import Fraction, Settings, canonical


def _distinct(values: list) -> list:
    spelled = [canonical(value) for value in values]
    twice = [value for value in dict.fromkeys(spelled) if spelled.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice; every value must be distinct")
    return values


def _tag(value: object) -> str:
    kinds = {bool: "switch", int: "number", float: "number"}
    return kinds.get(type(value), "word")


Distinct = AfterValidator(_distinct)
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
        return [key for key in self.axes if key in self.sections()["data"].model_fields and key not in self.SCALES]

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Each wildcard matches the configured values only, so that nothing else can be scheduled."""
        return {key: "|".join(map(re.escape, values)) for key, values in self.grid.items()}

    def points(self) -> list[dict[str, str]]:
        """Every combination of the swept values (one empty point when nothing is swept)."""
        values = itertools.product(*(self.grid[key] for key in self.axes))
        return [dict(zip(self.axes, combination, strict=True)) for combination in values]
