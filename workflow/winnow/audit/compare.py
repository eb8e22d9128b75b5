"""What sets two versions of a result apart, and whether another numerics class explains it.

In another class a number may be off by its last bits, or by the tolerance that was measured for its column, for the
step that wrote it and for the least exact network behind it. Where training itself moved when that was measured, so may
every mean over its runs, by an amount that depends on the experiment: such a mean or estimate may move within its own
95 % interval, and what its p-values say shows in the verdicts. Verdicts and other words may never differ.
"""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .records import CHECKOUT, RESULTS, content, sha256
from .results import Finding, Records

TOLERANCE = CHECKOUT / "workflow/tolerance.json"
NETWORKS = ("two_layer", "mlp", "convolutional")  # the least exact one comes last
FIXED = ("seed", "step", "fraction", "n", "x")  # columns that say what a row is
LAST_BITS = 1e-6  # of a number: runs hold single precision, and so do some logarithms of theirs
PICTURES = (".svg", ".pdf", ".png")
TEXTS = (".md", ".html")


@dataclass(frozen=True)
class Allowed:
    """What another numerics class may move."""

    columns: dict[str, float]
    """How far, by column."""
    means: bool
    """Whether means and estimates may move within their intervals."""

    def covers(self, name: str, ours: float, theirs: float, interval: float | None) -> bool:
        """Whether two numbers may be so far apart; interval is the width of the one in their row, if it has one."""
        if name in FIXED:
            return False
        room = max(self.columns.get(name, 0), LAST_BITS * max(abs(ours), abs(theirs)))
        if self.means and interval is not None:
            return name.startswith("p_") or abs(ours - theirs) <= max(room, interval)
        return abs(ours - theirs) <= room


def allowed(path: str, record: dict, records: Records) -> Allowed:
    """What another numerics class may move in a result: what it moves in those of more exact networks, too."""
    measured = json.loads(TOLERANCE.read_text(encoding="utf-8"))["networks"]
    columns, trained = {}, set()
    for name in NETWORKS[: NETWORKS.index(network(path, records)) + 1]:
        steps = measured.get(name, {})
        trained |= {column for step in steps if step.startswith("train") for column in steps[step]}
        for column, far in steps.get(record["step"], {}).items():
            columns[column] = max(columns.get(column, 0), far)
    return Allowed(columns, "train_loss" in trained)


def network(path: str, records: Records) -> str:
    """The least exact network that a result was made with."""
    settings = Path(RESULTS, path.split("/")[1], "experiment.json")
    if settings.is_file():
        settings = json.loads(settings.read_text(encoding="utf-8"))["settings"]
        if settings["kind"] == "two_layer":
            return "two_layer"
        return "mlp" if settings["model"]["architecture"] == "mlp" else "convolutional"
    inputs = (records.get(path) or {"inputs": {}})["inputs"]
    behind = [network(name, records) for name in inputs if name.startswith(f"{RESULTS}/")]
    return max(behind, key=NETWORKS.index, default=NETWORKS[0])


def verdicts(pairs: dict[str, tuple[str | Path, str | Path]], may: Allowed | None) -> list[Finding]:
    """What sets the files of one job apart from other versions of them.

    pairs: both paths by the name to report. may: what may differ, None in the same numerics class.
    """
    found = {name: _verdict(*pair, may) for name, pair in pairs.items()}
    drawn = {name for name, verdict in found.items() if name.endswith(PICTURES) and verdict == (1, "differs")}
    numbers = {code for name, (code, _) in found.items() if name not in drawn}
    if may and numbers and numbers <= {0, 3}:  # a picture is as good as the numbers that its job wrote
        found |= dict.fromkeys(drawn, (3, "differs"))
    return [Finding(code, name, what) for name, (code, what) in found.items()]


def _verdict(ours: str | Path, theirs: str | Path, may: Allowed | None) -> tuple[int, str]:
    if not os.path.isfile(theirs):
        return 1, "is written no more"
    if sha256(ours) == sha256(theirs):
        return 0, "identical"
    if (table := content(ours)) and table == content(theirs):
        return 0, "identical contents"
    counted = str(ours).endswith((".parquet", ".json"))
    said = words(ours)
    if said != words(theirs):
        return 1, "says something else"
    if not counted:
        return (3 if may and said else 1), "differs"
    beyond = difference(ours, theirs, may)
    told = ", ".join(f"{name} by {far:.3g}" for name, far in (beyond or difference(ours, theirs)).items())
    return (3 if may and not beyond else 1), f"differs: {told}"


def words(path: str | Path) -> object:
    """What no numerics class may change: a JSON file, text or mask without its numbers. None for other files."""
    path = Path(path)
    if path.suffix == ".json":
        return _stripped(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix in TEXTS:
        return _stripped(path.read_text(encoding="utf-8"))
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        masks = load_file(path)
        return {name: list(mask.shape) for name, mask in masks.items()}, sum(int(m.sum()) for m in masks.values())
    return None


def _stripped(value: object) -> object:
    if isinstance(value, dict):
        return {key: _stripped(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_stripped(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", "#", value)
    return value if isinstance(value, bool) else type(value).__name__


def difference(ours: str | Path, theirs: str | Path, may: Allowed | None = None) -> dict[str, float]:
    """How far two tables or JSON files are apart where they may not be, by column.

    The largest absolute difference, infinite where values are no numbers; `shape` where the rows do not correspond.
    """
    a, b = rows(ours), rows(theirs)
    if [row.keys() for row in a] != [row.keys() for row in b]:
        return {"shape": math.inf}
    found = {}
    for x, y in zip(a, b, strict=True):
        interval = _width(x, y)
        for name in x:
            far = _distance(x[name], y[name])
            if far and not (may and math.isfinite(far) and may.covers(name, x[name], y[name], interval)):
                found[name] = max(found.get(name, 0), far)
    return found


def rows(path: str | Path) -> list[dict]:
    """The rows of a table; of a JSON file every object in it, with the values that are no objects or lists of them."""
    if str(path).endswith(".parquet"):
        import pyarrow.parquet as pq

        return pq.read_table(path, partitioning=None).to_pylist()
    return list(_objects(json.loads(Path(path).read_text(encoding="utf-8"))))


def _objects(value: object):
    if isinstance(value, dict):
        yield {key: v for key, v in value.items() if not isinstance(v, dict | list)}
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(part)


def _distance(x: object, y: object) -> float:
    if type(x) is type(y) and (x == y or (x != x and y != y)):  # NaN is equal to itself
        return 0.0
    numbers = {type(x), type(y)} in ({int}, {float}) and math.isfinite(x) and math.isfinite(y)
    return abs(x - y) if numbers else math.inf


def _width(*rows: dict) -> float | None:
    """The width of the interval in the versions of a row, the wider one; None where there is none."""
    ends = [(row.get("low"), row.get("high")) for row in rows]
    widths = [high - low for low, high in ends if isinstance(low, float) and isinstance(high, float)]
    return max(widths, default=None)
