"""The step `keys`: every key of a configuration with its values, default and meaning, as the page config/KEYS.md.

All of it comes from the schema, which comes from the models that check a configuration: the page says what they do.
"""

import argparse
import json
from pathlib import Path

from .base import canonical
from .load import Config

SYMBOLS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
LARGE = 2**53  # bounds from here on are those of what holds a number


def page() -> str:
    """All keys as a page."""
    schema = Config.model_json_schema()
    (experiment,) = schema["properties"]["experiments"]["patternProperties"].values()
    models = [_model(schema, one) for one in experiment["oneOf"]]
    kinds = {model["properties"]["kind"]["const"]: model for model in models}
    first, *others = (one["properties"] for one in kinds.values())
    shared = [key for key in first if all(first[key] == other.get(key) for other in others)]
    lines = [
        "# The keys of a configuration",
        "",
        "Written by `python workflow keys config/KEYS.md` from the models that check a configuration. A key without a",
        "default must be given. What is for both kinds of experiments, and how they are used: [README.md](README.md).",
        *_table("Top level", schema),
        *_table("Every experiment", {"properties": {key: first[key] for key in shared}}),
    ]
    for kind, model in kinds.items():
        sections = {key: _model(schema, value) for key, value in model["properties"].items() if "$ref" in value}
        own = {key: value for key, value in model["properties"].items() if key not in (*sections, *shared)}
        lines += _table(f"`kind: {kind}`", model | {"properties": own})
        for name, section in sections.items():
            lines += _table(f"`{name}` of `{kind}`", section, "###")
    return "\n".join([*lines, ""])


def _model(schema: dict, value: dict) -> dict:
    return schema["$defs"][value["$ref"].split("/")[-1]]


def _table(title: str, model: dict, level: str = "##") -> list[str]:
    """A heading, what the model says of itself, and a line for each of its keys."""
    lines = ["", f"{level} {title}", ""]
    if "description" in model:
        lines += [_text(model["description"]), ""]
    lines += ["| key | values | default | what it is |", "|---|---|---|---|"]
    for key, value in model["properties"].items():
        lines.append(f"| `{key}` | {_values(value)} | {_default(value)} | {_text(value['description'])} |")
    for key, value in model["properties"].items():
        if meanings := value.get("enumDescriptions"):
            lines += ["", f"| `{key}` | keeps |", "|---|---|"]
            lines += [f"| `{word}` | {_text(said)} |" for word, said in zip(value["enum"], meanings, strict=True)]
    return lines


def _values(value: dict) -> str:
    """The values that a key may have, in words."""
    if options := value.get("anyOf", value.get("oneOf")):
        return " or ".join(map(_values, options))
    if words := value.get("enum", [value["const"]] if "const" in value else None):
        return ", ".join(f"`{word}`" for word in words)
    kind = value["type"]
    if kind == "array":
        return f"list of: {_values(value['items'])}"
    if kind == "object":
        inner = value.get("additionalProperties", {})
        return f"by key, {_values(inner)}" if inner else "by name"
    if kind in ("integer", "number"):
        bounds = [f"{sign} {value[key]:g}" for key, sign in SYMBOLS.items() if abs(value.get(key, LARGE)) < LARGE]
        return " ".join([kind, ", ".join(bounds)]).strip()
    return {"boolean": "`true`, `false`", "null": "`null`", "string": "text"}[kind]


def _default(value: dict) -> str:
    if "default" not in value:
        return ""
    default = value["default"]
    return f"`{canonical(default) if isinstance(default, str | float) else json.dumps(default)}`"


def _text(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")


def main(arguments: list[str]) -> None:
    """Write what every key means."""
    parser = argparse.ArgumentParser(prog="python workflow keys", description=main.__doc__)
    parser.add_argument("out", type=Path, help="the page, as in config/KEYS.md")
    parser.parse_args(arguments).out.write_text(page(), encoding="utf-8")
