"""One arithmetic: every step gives the same bytes on any processor and with any number of threads.

Jobs of a run of config/ci.yaml are run again: every step, every figure once, a training job of every kind of network.
What the networks' own tests vary (tests/core/test_bits.py, tests/images/test_bits.py) is another compiler as well; the
C library is `make test-distro`'s factor.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from processor import LESSER, lesser
from project import ROOT, audit

from winnow.audit.records import read

CI = ("--config", "config/ci.yaml")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FACTORS = (*LESSER, "two threads")
# Quick ones of each kind of two-layer network: a trained output layer, class sums, other data, hardly a weight kept.
TWO_LAYER = ("fig5", "noise", "dense_signal", "start-orthogonal", "overprune")
AGAIN = """
import importlib, json, sys
step, commands = sys.argv[1], json.load(sys.stdin)
from winnow.steps import STEPS
for command in commands:
    importlib.import_module(f"winnow.{STEPS[step]}").main(command)
"""


def jobs(tree: Path, monkeypatch) -> dict[str, list[dict]]:
    """The records of the run's jobs by step: all figures, else one an experiment, or one altogether."""
    monkeypatch.chdir(tree)
    found = {}
    for path in sorted(str(file) for file in Path("results").rglob("*") if file.is_file()):
        record, _ = read(path)
        if record and record["step"] not in ("core", "settings"):
            place = path.split("/")[1] if record["step"] != "figure" else record["command"][0]
            found.setdefault(record["step"], {})[place] = record
    found["train"] = {name: found["train"][name] for name in TWO_LAYER}
    return {step: list(records.values()) for step, records in found.items()}


def chosen(found: dict[str, list[dict]], number: int) -> dict[str, list[dict]]:
    """What a factor runs again: its share of the figures, all that trains, and up to three of every other step."""
    again = {step: records[:: max(len(records) // 3, 1)][:3] for step, records in found.items()}
    again["figure"] = found["figure"][number :: len(FACTORS)]
    return again | {step: found[step] for step in ("train", "train-images")}


def differing(tree: Path, folder: Path, step: str, records: list[dict], **environment: str) -> list[str]:
    """Run jobs of a step again, in one process and with links to their inputs; the outputs that differ then."""
    for record in records:
        for name in record["inputs"]:
            if name.startswith("results/") and not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(tree / name)
    told = os.environ | {"PYTHONPATH": str(tree / "workflow")} | environment
    commands = json.dumps([record["command"] for record in records])
    run = subprocess.run(
        [sys.executable, "-c", AGAIN, step], cwd=folder, env=told, input=commands, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    names = [name for record in records for name in record["outputs"]]
    return [name for name in names if (folder / name).read_bytes() != (tree / name).read_bytes()]


@pytest.mark.parametrize("number", range(len(FACTORS)), ids=FACTORS.__getitem__)
def test_every_step_gives_the_same_bytes(tree, tmp_path, monkeypatch, number):
    """On a lesser processor, and with two threads; each factor draws every third figure.

    The core's plain kernels take sixty times as long: the tests of bits run them, on smaller networks.
    """
    told = dict.fromkeys(THREADS, "2" if FACTORS[number] == "two threads" else "1")
    if FACTORS[number] in LESSER:
        told |= lesser(FACTORS[number]) | {"WINNOW_ISA": "v3"}
    again = chosen(jobs(tree, monkeypatch), number)
    assert sum(map(len, again.values())) > 20
    found = {step: differing(tree, tmp_path, step, records, **told) for step, records in again.items()}
    assert not any(found.values()), found


@pytest.fixture(scope="module")
def published(tree, tmp_path_factory):
    """A copy of the tree with what was published of its run."""
    folder = tmp_path_factory.mktemp("golden") / "tree"
    shutil.copytree(tree, folder, symlinks=True)
    subprocess.run([sys.executable, "workflow", "audit", "publish", *CI], cwd=folder, check=True)
    return folder


def test_the_results_of_ci_are_the_golden_ones(published):
    """Those in git, not those just published."""
    assert audit(published, "golden")[0] == 0
    kept = published / "docs/ci"
    kept.rename(published / "kept")
    try:
        shutil.copytree(ROOT / "docs/ci", kept)
        code, found = audit(published, "golden")
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        (published / "kept").rename(kept)
    assert code == 0, found
    assert found["looked_at"]["copies"] > 50


def drifted(table: pa.Table) -> bytes:
    """The table with a thousandth more of the test error."""
    at = table.column_names.index("test_error")
    moved = pa.BufferOutputStream()
    pq.write_table(table.set_column(at, "test_error", pc.add(table["test_error"], 0.001)), moved)
    return moved.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("damage", "code", "told"),
    [
        (lambda file: drifted(pq.read_table(file)), 1, "`collect`: differs: test_error by 0.001 (from docs/ci/"),
        (lambda file: b"PAR1", 4, "`collect`: cannot be read: "),
    ],
    ids=["drift", "unreadable"],
)
def test_drift_from_the_golden_values_names_step_column_and_distance(published, damage, code, told):
    file = published / "results/fig5/summary.parquet"
    kept = file.read_bytes()
    file.write_bytes(damage(file))
    try:
        given, found = audit(published, "golden")
    finally:
        file.write_bytes(kept)
    assert given == code
    (finding,) = (f for f in found["findings"] if f["code"])
    assert finding["path"] == "results/fig5/summary.parquet"
    assert finding["what"].startswith(told)
