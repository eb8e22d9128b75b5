"""`audit rederive`: run a recorded step again, from inputs whose hashes are checked."""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .records import CHECKOUT, RESULTS, record_path, sha256
from .results import Finding, Records, environment, has_hash, made_with, results, seen

TOLERANCE = CHECKOUT / "workflow/tolerance.json"


def rederive(paths: list[str]) -> tuple[list[Finding], dict[str, int]]:
    """Run the steps that wrote some results again in temporary folders, and compare everything that they write.

    Returns what was found, and how much was looked at.
    """
    records = Records()
    findings = [finding for path in paths for finding in _rederive(path, records)]
    return findings, seen(filter(os.path.isfile, {*paths, *(finding.path for finding in findings)}), records)


def _rederive(path: str, records: Records) -> list[Finding]:
    record = records.get(path)
    if not os.path.isfile(path):
        return [Finding(4, path, "missing")]
    if record is None or path not in record["outputs"]:
        return [Finding(4, path, "its record is missing or was changed")]
    if sha256(path) != record["outputs"][path]["sha256"]:
        return [Finding(4, path, f"is not the file that `{record['step']}` wrote")]
    if findings := environment() + made_with(path, records.run(path)):
        return findings
    broken = [name for name, known in record["inputs"].items() if not has_hash(name, known["sha256"])]
    if broken:
        return [Finding(4, path, f"its input {name} is missing or was changed") for name in broken]
    with tempfile.TemporaryDirectory() as folder:
        run = run_again(record, Path(folder))
        if run.returncode:
            return [Finding(1, path, f"cannot be derived again: {run.stderr.strip().splitlines()[-1]}")]
        return compare(record, Path(folder))


def run_again(record: dict, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a recorded step in a folder that holds links to its inputs and nothing else."""
    for name in record["inputs"]:
        if name.startswith(f"{RESULTS}/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(os.path.abspath(name))
    command = [sys.executable, CHECKOUT / "workflow", record["step"], *record["command"]]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=os.environ | threads | environment, capture_output=True, text=True)


def compare(record: dict, folder: Path) -> list[Finding]:
    """Every output of a job against what the same job wrote into another folder."""
    first = next(iter(record["outputs"]))
    again = json.loads((folder / record_path(first)).read_text())
    same_class = all(again["numerics"].get(k) == v for k, v in record["numerics"].items())
    allowed = json.loads(TOLERANCE.read_text())["steps"].get(record["step"], {})
    findings, tables = [], []
    for path, known in record["outputs"].items():
        new = again["outputs"].get(path)
        if new == known:
            findings.append(Finding(0, path, "identical"))
        elif new and "content" in known and new["content"] == known["content"]:
            findings.append(Finding(0, path, "identical contents"))
        elif path.endswith(".parquet"):
            distances = difference(path, folder / path)
            beyond = [column for column, far in distances.items() if same_class or not far <= allowed.get(column, 0)]
            told = ", ".join(f"{column} by {far:.3g}" for column, far in distances.items())
            tables.append(Finding(1 if beyond else 3, path, f"differs: {told}"))
        elif path.endswith(".json") and not same_class and words(path) == words(folder / path):
            findings.append(Finding(3, path, "differs in its numbers, with the same verdicts"))
        else:
            findings.append(Finding(1, path, "differs"))
    # A picture has no tolerance of its own: in another class it is as good as the numbers that its job wrote.
    excused = not same_class and tables and all(finding.code == 3 for finding in tables)
    return tables + [Finding(3, f.path, f.what) if f.code == 1 and excused else f for f in findings]


def words(path: str | Path) -> object:
    """A JSON file without its numbers: the verdicts that must not depend on the numerics class."""

    def stripped(value):
        if isinstance(value, dict):
            return {key: stripped(v) for key, v in value.items()}
        if isinstance(value, list):
            return [stripped(v) for v in value]
        return re.sub(r"[-+]?[0-9.]+(e-?[0-9]+)?", "#", value) if isinstance(value, str) else type(value).__name__

    return stripped(json.loads(Path(path).read_text()))


def difference(ours: str | Path, theirs: str | Path) -> dict[str, float]:
    """How far two tables are apart, by column: the largest absolute difference; infinite where they are no numbers."""
    import numpy as np
    import pyarrow.parquet as pq

    a, b = (pq.read_table(path, partitioning=None) for path in (ours, theirs))
    if a.schema.types != b.schema.types or a.column_names != b.column_names or a.num_rows != b.num_rows:
        return {"shape": float("inf")}
    found = {}
    for name in a.column_names:
        if not a[name].equals(b[name]):
            x, y = a[name].to_numpy(), b[name].to_numpy()
            numbers = x.dtype.kind in "if" and y.dtype.kind in "if"
            if numbers and np.array_equal(np.isnan(x.astype(float)), np.isnan(y.astype(float))):
                found[name] = float(np.nanmax(np.abs(x.astype(float) - y.astype(float)), initial=0))
            else:
                found[name] = float("inf")
    return {name: far for name, far in found.items() if far}  # NaN is equal to itself


def sample(n: int, seed: int) -> tuple[list[Finding], dict[str, int]]:
    """Derive n results again, drawn from all of them with a seed."""
    files = results()
    return rederive(random.Random(seed).sample(files, min(n, len(files))))
