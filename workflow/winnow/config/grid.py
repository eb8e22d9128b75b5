"""The grid that an experiment is run over: pruned fractions, further swept keys, seeds, and how jobs share them."""

import itertools
import math
import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from ..errors import WinnowError
from .base import Distinct, Fraction, NoSwitch, PositiveInt, Settings, canonical


def _read(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value  # YAML takes 1e-3 and 5e-1 for text
    except ValueError:
        return value


def _tag(value: object) -> str:
    kinds = {bool: "switch", int: "number", float: "number"}
    return kinds.get(type(value), "word")


LONGEST = 100  # characters of a name or value: each is a folder of its own
MOST_RUNS = 1_000_000  # of one experiment; Snakemake needs about a millisecond to plan one
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]
PathNumber = Annotated[float, Field(lt=1e20)]  # a path with twenty zeros in a row is a PeriodicWildcardError
AxisValue = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[PathNumber, Tag("number")] | Annotated[Word, Tag("word")],
    Discriminator(_tag),
    BeforeValidator(_read),
]
Seed = Annotated[int, Field(ge=0, lt=2**63), NoSwitch]  # what a column of a table holds
Seeds = Annotated[
    Annotated[int, Field(ge=1), NoSwitch, Tag("count")]
    | Annotated[list[Seed], Field(min_length=1), Distinct, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "count"),
]


def in_batches(key: str, places: dict[str, int], size: int) -> dict[str, list[str]]:
    """The values of a wildcard by the job that runs them: batch `place // size`, or any one value if that is 1."""
    if size == 1:
        return {f"{{{key}}}": [f"{{{key}}}"]}
    found = {}
    for value, place in places.items():
        found.setdefault(str(place // size), []).append(value)
    return found


class Grid(Settings):
    """The settings of an experiment (the class beside this one) and the grid they are run over."""

    fractions: Annotated[list[Fraction], Field(min_length=1), Distinct]
    """Fractions of the weights pruned at initialization, each in [0, 1)."""
    axes: dict[str, Annotated[list[AxisValue], Field(min_length=1), Distinct]] = {}
    """Further settings to sweep, by key: `sigma_n: [0.5, 1]` runs the whole grid at both."""
    seeds: Seeds
    """How many seeds (0, 1, …), or the list of them."""
    seeds_per_job: PositiveInt = 1
    """How many seeds one job runs; more than 1 pays where a run is shorter than the start of an interpreter."""
    streams: str | None = None
    """The experiment whose random streams this one takes, so that runs of equal seeds are pairs; null: its own."""

    @model_validator(mode="after")
    def _there_are_not_too_many_runs(self) -> Self:
        seeds = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        runs = math.prod(map(len, self.axes.values())) * len(self.fractions) * seeds
        if runs > MOST_RUNS:
            raise ValueError(f"fractions, axes and seeds make {runs:,} runs; at most {MOST_RUNS:,} are possible")
        return self

    @model_validator(mode="after")
    def _every_point_is_valid(self) -> Self:
        settings = self.settings
        try:
            for point in self.points():
                there = settings.at(point)
                for key, spelled in point.items():
                    if (known := canonical(there.value(key))) != spelled:
                        raise ValueError(f"axes.{key}: {spelled} must be spelled {known}")
        except WinnowError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _paths_are_short(self) -> Self:
        for key, values in self.grid.items():
            for value in values:
                if len(value) > LONGEST:
                    raise ValueError(f"{key}: {value} has {len(value)} characters; at most {LONGEST} make a path")
        return self

    @property
    def settings(self) -> Settings:
        """The settings alone, without the grid."""
        kind = next(base for base in type(self).__mro__ if not issubclass(base, Grid))
        return kind(**{name: getattr(self, name) for name in kind.model_fields})

    @property
    def seed_list(self) -> list[int]:
        """The seeds, spelled out; their order in the configuration says nothing."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else sorted(self.seeds)

    @property
    def batches(self) -> dict[str, list[str]]:
        """Seeds by the job that runs them: batch `seed // seeds_per_job`, or any one seed when a job runs one."""
        return in_batches("seed", {str(seed): seed for seed in self.seed_list}, self.seeds_per_job)

    @property
    def grid(self) -> dict[str, list[str]]:
        """Every wildcard of a run's path and its values, as they stand in paths."""
        spelled = {key: [canonical(value) for value in values] for key, values in self.axes.items()}
        return spelled | {"fraction": [canonical(f) for f in self.fractions], "seed": [str(s) for s in self.seed_list]}

    @property
    def collected(self) -> dict[str, list[str]]:
        """The grid as the command that collects it says it: `0-2` is the seeds 0, 1 and 2, or no system would take the
        command of a large one."""
        ranges = []
        for seed in self.seed_list:
            if ranges and seed == ranges[-1][1] + 1:
                ranges[-1][1] = seed
            else:
                ranges.append([seed, seed])
        return self.grid | {"seed": [f"{a}-{b}" if a < b else f"{a}" for a, b in ranges]}

    @property
    def data_axes(self) -> list[str]:
        """The swept keys that change the data."""
        return [key for key in self.axes if key in self.sections()["data"].model_fields and key not in self.SCALES]

    @property
    def drawn(self) -> set[str]:
        """The data at every point of the grid, without what only scales them: equal ones are drawn alike."""
        sections = (self.settings.at(point).data for point in self.points())
        return {section.model_dump_json(exclude=set(self.SCALES)) for section in sections}

    @property
    def data_files(self) -> dict[str, str]:
        """The user's own files that the data are made from, as far as they are there, and their sha256."""
        return {}

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Each wildcard matches the configured values only, so that nothing else can be scheduled."""
        return {key: "|".join(map(re.escape, values)) for key, values in self.grid.items()}

    def points(self) -> list[dict[str, str]]:
        """Every combination of the swept values (one empty point when nothing is swept)."""
        values = itertools.product(*(self.grid[key] for key in self.axes))
        return [dict(zip(self.axes, combination, strict=True)) for combination in values]
