"""Mistakes in settings as one line each: file, key, value, what is allowed."""

import itertools
import json
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel, ValidationError

from ..errors import WinnowError

KINDS = ("two_layer", "images")
TAGS = ("count", "list", "number", "switch", "word", *KINDS)  # marks of the members of a union, no part of a key
NAMED = ("experiments", "axes")  # behind these stands a name


def validated(model: type[BaseModel], tree: object, where: str):
    """Build a pydantic model, turning its complaints into one line each: file, key, value, what is allowed."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_complaint(model, where, problem) for problem in error.errors()]
        raise WinnowError("\n".join(dict.fromkeys(lines))) from None


def _complaint(model: type[BaseModel], where: str, problem: dict) -> str:
    key = ""
    for part, is_name in _parts(problem["loc"]):
        if part not in TAGS or is_name:
            key += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"unknown key; allowed: {', '.join(_allowed_keys(model, problem['loc'][:-1]))}"
    value = json.dumps(problem["input"], default=str)
    shown = f" = {value}" if key and len(value) <= 60 else ""
    line = f"{where}: {key.lstrip('.')}{shown}: {message}".replace(": : ", ": ")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)  # a key may hold anything


def _parts(path: tuple) -> Iterator[tuple[str | int, bool]]:
    """The parts of a place in a configuration, and whether each is a name, which may be any word."""
    is_name = False
    for before, part in itertools.pairwise(("", *path)):
        is_name = before in NAMED and not is_name
        yield part, is_name


def _allowed_keys(annotation, path: tuple) -> list[str]:
    """The keys of the model that a path of keys leads to."""
    for part, is_name in _parts(path):
        if is_name:
            continue
        models = _models(annotation)
        if part in KINDS:
            annotation = next(model for model in models if _kind(model) == part)
        elif models and part in models[0].model_fields:
            annotation = models[0].model_fields[part].annotation
    models = _models(annotation)
    return list(models[0].model_fields) if models else []


def _models(annotation) -> list[type[BaseModel]]:
    """The models that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(model: type[BaseModel]) -> str | None:
    return get_args(model.model_fields["kind"].annotation)[0] if "kind" in model.model_fields else None
