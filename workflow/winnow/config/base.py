"""What all settings are made of: strict models whose keys can be swept, and the one file that a run reads them from.

Settings are the only way into a run. A run reads them from `results/<experiment>/experiment.json`, which holds no grid
and no seeds, so that adding a seed reruns nothing that exists.
"""

import types
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Self, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ..errors import WinnowError
from ..files import read_json
from .messages import validated


def _no_switch(value: object) -> object:
    if isinstance(value, bool):  # Python counts with True
        raise ValueError("must be a number, not true or false")
    return value


def canonical(value: float | int | str) -> str:
    """The one spelling of an axis value in paths: 0.50 and 5e-1 are `0.5`, 400.0 is `400`, text stays as it is."""
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    number = Decimal(str(value)).normalize()
    return format(number if number else Decimal(0), "f")


def _distinct(values: list) -> list:
    spelled = [canonical(value) for value in values]
    twice = [value for value in dict.fromkeys(spelled) if spelled.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice; every value must be distinct")
    return values


LARGEST = 2**53  # tables hold swept settings as floating-point numbers
NoSwitch = BeforeValidator(_no_switch)
PositiveInt = Annotated[int, Field(ge=1, le=LARGEST), NoSwitch]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False), NoSwitch]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False), NoSwitch]
Fraction = Annotated[float, Field(ge=0, lt=1), NoSwitch]
Distinct = AfterValidator(_distinct)


class Strict(BaseModel):
    """Unknown keys are errors, values never change, attribute docstrings are the descriptions in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    def __deepcopy__(self, memo: dict) -> Self:
        """Itself, which never changes: pandas copies what is attached to a table with every selection of rows."""
        return self


class Settings(Strict):
    """What the settings of every kind of experiment can do: sections of keys, of which any can be swept."""

    SCALES: ClassVar[tuple[str, ...]] = ()
    """Data settings that scale what is stored: sweeping them redraws nothing."""

    @classmethod
    def sections(cls) -> dict[str, type[Strict]]:
        """The sections of the settings by name (`data`, `model`, …); their keys are unique over the sections."""
        annotations = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: a for name, a in annotations.items() if isinstance(a, type) and issubclass(a, Strict)}

    @classmethod
    def sweepable(cls) -> dict[str, str]:
        """Every key that an experiment may sweep, with the section that holds it."""
        return {key: name for name, section in cls.sections().items() for key in section.model_fields}

    @classmethod
    def axis_is_number(cls, key: str) -> bool:
        """Whether the values of a swept key are numbers (else they are text in every table)."""
        return _is_number(cls.sections()[cls.sweepable()[key]].model_fields[key].annotation)

    def value(self, key: str) -> object:
        """The value of a key of any section."""
        return getattr(getattr(self, self.sweepable()[key]), key)

    def at(self, point: dict[str, str]) -> Self:
        """These settings with swept keys set to their values at one grid point, checked again.

        Raises WinnowError naming a key that cannot be swept or a value that is not allowed.
        """
        tree = self.model_dump()
        for key, value in point.items():
            if key not in self.sweepable():
                raise WinnowError(f"axes.{key}: no such setting; allowed: {', '.join(sorted(self.sweepable()))}")
            tree[self.sweepable()[key]][key] = value
        return validated(type(self), tree, "settings")


def _is_number(annotation) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_number(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):  # of something annotated it is the one, of a type the other
        return any(_is_number(part) for part in get_args(annotation))
    return annotation in (int, float)


Kind = TypeVar("Kind", bound=Settings)


class RunSettings(Strict, Generic[Kind]):
    """What `experiment.json` holds: the experiment's name, the root of its random streams, its settings."""

    # For RunSettings[…] pydantic would look for the docstrings in the source of whoever wrote that.
    model_config = ConfigDict(use_attribute_docstrings=False)

    experiment: str
    """Name of the experiment; part of the key of its random streams, unless `streams` is."""
    root_seed: int
    """Root of all random streams."""
    streams: Annotated[str | None, Field(exclude_if=lambda name: name is None)] = None
    """The experiment whose random streams this one takes; written only where it is another one."""
    settings: Kind
    """The settings themselves."""

    @property
    def drawn_as(self) -> str:
        """The name in the key of the random streams."""
        return self.streams or self.experiment


def read(path: str | Path, kind: type[Kind]) -> RunSettings[Kind]:
    """Read and check the `experiment.json` of one kind of experiment.

    Raises WinnowError naming the file and the key.
    """
    return validated(RunSettings[kind], read_json(path), str(path))
