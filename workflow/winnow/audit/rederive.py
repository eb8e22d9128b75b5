"""`audit rederive`: run a recorded step again, from inputs whose hashes are checked."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from ..inputs import sha256
from ..randomness import Stream
from .compare import differs, verdict
from .records import CHECKOUT, Records, located, record_path
from .results import Finding, environment, has_hash, made_with, results, seen, tampered

AGAIN = {"figure": "redrawn from its tables"}
AGAIN |= dict.fromkeys(("collect", "claims", "scorecard", "page"), "made again from its inputs")
"""What deriving a result means where it repeats no run."""


def rederive(paths: list[str]) -> tuple[list[Finding], dict[str, int]]:
    """Run the steps that wrote some results again in temporary folders, and compare everything that they write.

    Returns what was found, and how much was looked at.
    """
    records = Records()
    findings = [finding for path in paths for finding in _rederive(path, records)]
    return findings, seen(filter(os.path.isfile, {*paths, *(finding.path for finding in findings)}), records)


def _rederive(path: str, records: Records) -> list[Finding]:
    if not os.path.isfile(path):
        return [Finding(4, path, "missing")]
    if findings := tampered(path, sha256(path), records):
        return findings
    record = records.get(path)
    if findings := environment() + made_with(path, records.run(path)):
        return findings
    broken = [name for name, known in record["inputs"].items() if not has_hash(name, known["sha256"])]
    if broken:
        return [Finding(4, path, f"its input {name} is missing or was changed") for name in broken]
    with tempfile.TemporaryDirectory() as scratch:
        above = max((Path(name).parts.count("..") for name in record["inputs"]), default=0)
        folder = Path(scratch, *["below"] * above)  # what lies beside the working directory gets its links in scratch
        folder.mkdir(parents=True, exist_ok=True)
        run = run_again(record, folder)
        return [failure(path, run)] if run.returncode else compare(record, folder)


def run_again(record: dict, folder: Path) -> subprocess.CompletedProcess:
    """Run a recorded step in a folder that gets links to its inputs, but to those that have an absolute path."""
    for name in map(located, record["inputs"]):
        if not name.is_absolute() and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(os.path.abspath(name))
    command = [sys.executable, CHECKOUT / "workflow", record["step"], *record["command"]]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    said_to = dict(capture_output=True, encoding="utf-8", errors="replace")
    return subprocess.run(command, cwd=folder, env=os.environ | threads, **said_to)


def failure(path: str, run: subprocess.CompletedProcess) -> Finding:
    """What a step says that cannot derive a result again; where it was killed, nothing can be said."""
    if run.returncode < 0:
        return Finding(6, path, f"cannot be derived again: killed by signal {-run.returncode}")
    said = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
    return Finding(1, path, f"cannot be derived again: {said[-1]}")


def compare(record: dict, folder: Path) -> list[Finding]:
    """Every output of a job against what the same job wrote into another folder."""
    now = [file for path in record["outputs"] if (file := folder / record_path(path)).is_file()]
    devices = [json.loads(file.read_text(encoding="utf-8"))["device"] for file in now]
    code = differs(record["device"], *devices)
    whole = [path for path, known in record["outputs"].items() if has_hash(path, known["sha256"])]
    damaged = [path for path in record["outputs"] if path not in whole]
    findings = [Finding(4, path, f"is missing or not the file that `{record['step']}` wrote") for path in damaged]
    findings += [verdict(path, path, folder / path, code) for path in whole]
    if again := AGAIN.get(record["step"]):
        findings = [replace(f, what=f"{f.what} ({again}, no run repeated)") for f in findings]
    return findings


def sample(n: int, seed: int) -> tuple[list[Finding], dict[str, int]]:
    """Derive n results again, drawn from all of them with a seed."""
    files = results()
    return rederive([files[i] for i in Stream(seed).permutation(len(files))[:n]])
