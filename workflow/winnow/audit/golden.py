"""Golden values: what a run of config/ci.yaml gives, kept in git so that any change of a result shows.

For every table the hash and the mean of each column, for other results the hash of the file. Runs are covered by the
tables that collect them; pictures and the compiled core, whose bytes are a library's or a compiler's, are left out.
"""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq

from ..errors import WinnowError
from ..files import write_json
from .records import CHECKOUT, column_hash, sha256
from .rederive import TOLERANCE, words
from .results import Finding, Records, results, seen

GOLDEN = CHECKOUT / "tests/golden/ci.json"
LEFT_OUT = (".svg", ".pdf", ".png", ".so")
TEXT = "text"


def values(records: Records) -> dict:
    """The golden values of the results in the working directory; of a file that cannot be read, what it says."""
    files, classes = {}, {}
    for path in results():
        record = records.get(path)
        if record is None or path.endswith(LEFT_OUT) or "/runs/" in path:
            continue
        classes |= record["numerics"]
        files[path] = {"step": record["step"]} | _file(path)
    return {"numerics": classes, "files": files}


def _file(path: str) -> dict:
    try:
        if path.endswith(".parquet"):
            return {"columns": _columns(path)}
        said = json.dumps(words(path)) if path.endswith(".json") else ""
    except Exception as error:  # every library raises its own for a broken file
        return {"unreadable": str(error)}
    known = {"words": hashlib.sha256(said.encode()).hexdigest()} if said else {}
    return {"sha256": sha256(path)} | known


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
    golden, now = json.loads(GOLDEN.read_text()), values(records)
    same_class = golden["numerics"] == now["numerics"]
    tolerance = json.loads(TOLERANCE.read_text())["steps"]
    tolerance["collect"] = tolerance["train"] | tolerance["train-images"]  # its tables hold what these computed
    findings = []
    for path in sorted(golden["files"].keys() | now["files"].keys()):
        old, new = golden["files"].get(path), now["files"].get(path)
        if new is None or "unreadable" in new:
            findings.append(Finding(4, path, f"cannot be read: {new['unreadable']}" if new else "is missing"))
        elif old is None:
            findings.append(Finding(1, path, "is not in the golden values"))
        elif old != new:
            allowed = {} if same_class else tolerance.get(old["step"], {})
            drifts = _drift(old, new, allowed, same_class)
            findings += [Finding(code, path, f"`{old['step']}`: {what}") for code, what in drifts]
    return findings, seen(now["files"], records)


def _drift(old: dict, new: dict, allowed: dict[str, float], same_class: bool) -> list[tuple[int, str]]:
    if "columns" not in old or "columns" not in new:
        if not same_class and "words" in old and old["words"] == new.get("words"):
            return [(3, "differs in its numbers, with the same verdicts")]
        return [(1, "another file")]
    found = []
    for name in sorted(old["columns"].keys() | new["columns"].keys()):
        a, b = old["columns"].get(name), new["columns"].get(name)
        if a is None or b is None:
            found.append((1, f"column {name} is {'new' if a is None else 'missing'}"))
        elif a != b:
            numbers = TEXT not in (a[1], b[1])
            far = abs(b[1] - a[1]) if numbers else float("inf")
            how = f"mean {a[1]:.9g}, now {b[1]:.9g} ({b[1] - a[1]:+.2g})" if numbers else "other values"
            found.append((3 if far <= allowed.get(name, -1) else 1, f"column {name}: {how}"))
    return found


def update() -> None:
    """Take the results in the working directory as the golden values; the change is to be reviewed as any other.

    Raises WinnowError where there is nothing to take.
    """
    found = values(Records())
    if not found["files"]:
        raise WinnowError("no golden values: there are no results in this working directory")
    write_json(GOLDEN, found)
    print(f"{GOLDEN}: {len(found['files'])} files; look at its diff before you commit it")
