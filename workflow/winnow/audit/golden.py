"""Golden values: what a run of config/ci.yaml gives, kept in git so that any change of a result shows.

For every table and JSON file the hash and the mean of each column (key); for all but tables the hash of the file, and
of the words of what is computed. Runs are covered by the tables that collect them. Pictures and the core, whose bytes
are a library's or a compiler's, are left out.
"""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq

from ..errors import WinnowError
from ..files import write_json
from .compare import PICTURES, Allowed, allowed, rows, words
from .records import CHECKOUT, column_hash, sha256
from .results import Finding, Records, classes, results, seen

GOLDEN = CHECKOUT / "tests/golden/ci.json"
LEFT_OUT = (*PICTURES, ".so")
TEXT = "text"


def values(records: Records) -> dict:
    """The golden values of the results in the working directory; of a file that cannot be read, what it says."""
    files = {}
    for path in results():
        record = records.get(path)
        if record is None or path.endswith(LEFT_OUT) or "/runs/" in path:
            continue
        files[path] = {"step": record["step"]} | _file(path)
    return {"numerics": classes(files, records), "files": files}


def _file(path: str) -> dict:
    try:
        if path.endswith(".parquet"):
            return {"columns": _columns(path)}
        said = None if path.endswith("/experiment.json") else words(path)  # settings are no one's arithmetic
    except Exception as error:  # every library raises its own for a broken file
        return {"unreadable": str(error)}
    known = {"words": hashlib.sha256(json.dumps(said).encode()).hexdigest()} if said else {}
    known |= {"columns": _keys(path)} if said and path.endswith(".json") else {}
    return {"sha256": sha256(path)} | known


def _keys(path: str) -> dict[str, list]:
    """Of every key of a JSON file's objects the hash of its values in order, and the mean of those that are numbers."""
    found = {}
    for row in rows(path):
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: _summary(values) for name, values in sorted(found.items())}


def _summary(values: list) -> list:
    numbers = [value for value in values if type(value) in (int, float)]
    digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
    return [digest, float(np.mean(numbers)) if numbers else TEXT]


def _columns(path: str) -> dict[str, list]:
    """The hash of each column of a table and its mean, or how many different texts it holds."""
    table = pq.read_table(path, partitioning=None)
    found = {}
    for name in sorted(table.column_names):
        column = table[name].combine_chunks()
        digest = hashlib.sha256()
        column_hash(digest, column)
        numbers = column.to_numpy(zero_copy_only=False)
        kind = numbers.dtype.kind
        mean = float(np.nanmean(numbers)) if kind in "if" and not np.isnan(numbers).all() else TEXT
        found[name] = [digest.hexdigest()[:16], mean]
    return found


def check() -> tuple[list[Finding], dict[str, int]]:
    """Compare the results in the working directory with the golden values: which step, which column, how far.

    Returns what was found, and how much was looked at.
    """
    records = Records()
    golden, now = json.loads(GOLDEN.read_text(encoding="utf-8")), values(records)
    same_class = golden["numerics"] == now["numerics"]
    findings = []
    for path in sorted(golden["files"].keys() | now["files"].keys()):
        old, new = golden["files"].get(path), now["files"].get(path)
        if new is None or "unreadable" in new:
            findings.append(Finding(4, path, f"cannot be read: {new['unreadable']}" if new else "is missing"))
        elif old is None:
            findings.append(Finding(1, path, "is not in the golden values"))
        elif old != new:
            drifts = _drift(old, new, None if same_class else allowed(path, records.get(path), records))
            findings += [Finding(code, path, f"`{old['step']}`: {what}") for code, what in drifts]
    return findings, seen(now["files"], records)


def _drift(old: dict, new: dict, may: Allowed | None) -> list[tuple[int, str]]:
    if "sha256" in old and old["sha256"] == new.get("sha256"):
        return []
    if old.get("words") != new.get("words"):
        return [(1, "says something else")]
    if "columns" not in old or "columns" not in new:
        return [(3 if may and "words" in old else 1, "another file")]
    found = []
    interval = max(filter(None, map(_width, (old["columns"], new["columns"]))), default=None)
    for name in sorted(old["columns"].keys() | new["columns"].keys()):
        a, b = old["columns"].get(name), new["columns"].get(name)
        if a is None or b is None:
            found.append((1, f"column {name} is {'new' if a is None else 'missing'}"))
        elif a != b:
            numbers = TEXT not in (a[1], b[1])
            covered = may and numbers and may.covers(name, a[1], b[1], interval)
            how = f"mean {a[1]:.9g}, now {b[1]:.9g} ({b[1] - a[1]:+.2g})" if numbers else "other values"
            found.append((3 if covered else 1, f"column {name}: {how}"))
    return found


def _width(columns: dict[str, list]) -> float | None:
    """The mean width of the intervals in a table's rows, None where it has none."""
    low, high = (columns.get(name, (None, TEXT))[1] for name in ("low", "high"))
    return None if TEXT in (low, high) else high - low


def update() -> None:
    """Take the results in the working directory as the golden values; the change is to be reviewed as any other.

    Raises WinnowError where there is nothing to take.
    """
    found = values(Records())
    if not found["files"]:
        raise WinnowError("no golden values: there are no results in this working directory")
    write_json(GOLDEN, found)
    print(f"{GOLDEN}: {len(found['files'])} files; look at its diff before you commit it")
