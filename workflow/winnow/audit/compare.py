"""What sets two versions of a result apart: nothing on a CPU, whose results have the same bytes on every machine."""

import json
import math
import os
from pathlib import Path

from ..inputs import sha256
from .records import CPU, content
from .results import Finding


def differs(*devices: str) -> int:
    """The exit code of two versions that differ: drift, if both were made on a CPU.

    A GPU's bits are its own. Where one had a part in either version, nothing can be said of a difference.
    """
    return 1 if set(devices) <= {CPU} else 6


def verdict(name: str, ours: str | Path, theirs: str | Path, code: int) -> Finding:
    """What sets two versions of a file apart; a difference has this exit code."""
    if not os.path.isfile(theirs):
        return Finding(1, name, "is written no more")
    if sha256(ours) == sha256(theirs):
        return Finding(0, name, "identical")
    if not str(ours).endswith((".parquet", ".json")):
        return Finding(code, name, "differs")
    try:
        if (table := content(ours)) and table == content(theirs):
            return Finding(0, name, "identical contents")
        apart = difference(ours, theirs) or {"types": math.inf}
    except Exception as error:  # every library raises its own for a broken file
        return Finding(4, name, f"cannot be read: {error}")
    told = ", ".join(f"{column} by {far:.3g}" for column, far in apart.items())
    return Finding(code, name, f"differs: {told}")


def difference(ours: str | Path, theirs: str | Path) -> dict[str, float]:
    """How far two tables or JSON files are apart, by column.

    The largest absolute difference, infinite where values are no numbers; `shape` where the rows do not correspond.
    """
    a, b = rows(ours), rows(theirs)
    if [row.keys() for row in a] != [row.keys() for row in b]:
        return {"shape": math.inf}
    apart = {}
    for x, y in zip(a, b, strict=True):
        for name in x:
            if far := _distance(x[name], y[name]):
                apart[name] = max(apart.get(name, 0), far)
    return apart


def rows(path: str | Path) -> list[dict]:
    """The rows of a table; of a JSON file every object in it, with the values that are no objects or lists of them."""
    if str(path).endswith(".parquet"):
        import pyarrow.parquet as pq

        return pq.read_table(path, partitioning=None).to_pylist()
    return list(_objects(json.loads(Path(path).read_text(encoding="utf-8"))))


def _objects(value: object):
    if isinstance(value, dict):
        yield {key: v for key, v in value.items() if not _nested(v)}
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(part)


def _nested(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict | list) for part in value))


def _distance(x: object, y: object) -> float:
    if type(x) is type(y) and (x == y or (x != x and y != y)):  # NaN is equal to itself
        return 0.0
    numbers = {type(x), type(y)} in ({int}, {float}) and math.isfinite(x) and math.isfinite(y)
    return abs(x - y) if numbers else math.inf
