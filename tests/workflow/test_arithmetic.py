"""One arithmetic: every step gives the same bytes under each factor that a processor, a library or a compiler may vary.

Jobs of a run of config/ci.yaml are run again, one factor at a time: every step, every figure once, a training job of
every kind of network. The C library is `make test-distro`'s factor.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import debian
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from project import ROOT, audit

from winnow import paths
from winnow.audit.records import read

CI = ("--config", "config/ci.yaml")
FLAGS = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
NEEDS = {"v4": "avx512f", "avx512": "avx512f", "AVX512_CORE": "avx512f", "v3": "avx2", "avx2": "avx2", "AVX2": "avx2"}
NUMPY = [("NPY_DISABLE_CPU_FEATURES", off) for off in ("X86_V4", "X86_V3 X86_V4")] + [("OPENBLAS_CORETYPE", "Nehalem")]
TORCH = [("ATEN_CPU_CAPABILITY", name) for name in ("default", "avx2", "avx512")]
TORCH += [("ONEDNN_MAX_CPU_ISA", name) for name in ("SSE41", "AVX2", "AVX512_CORE")]
CORE = [("WINNOW_ISA", name) for name in ("v4", "v3", "plain")]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
TRAINING = ("train", "train-images")


def jobs(tree: Path, monkeypatch) -> dict[str, list[dict]]:
    """The records of the run's jobs by step: all figures, else one an experiment, or one altogether."""
    monkeypatch.chdir(tree)
    found = {}
    for path in sorted(str(file) for file in Path("results").rglob("*") if file.is_file()):
        record, _ = read(path)
        if record and record["step"] not in ("core", "settings"):
            place = path.split("/")[1] if record["step"] != "figure" else record["command"][0]
            found.setdefault(record["step"], {}).setdefault(place, record)
    return {step: list(records.values()) for step, records in found.items()}


def differing(tree: Path, folder: Path, records: list[dict], core: Path | None = None, **environment: str) -> list[str]:
    """Run jobs again in a folder, from links to their inputs; those of their outputs that have other bytes then."""
    found = []
    for record in records:
        for name in record["inputs"]:
            if name.startswith("results/") and not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(core if core and name == paths.CORE else tree / name)
        command = [sys.executable, tree / "workflow", record["step"], *record["command"]]
        told = os.environ | ONE_THREAD | environment
        run = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        found += [name for name in record["outputs"] if (folder / name).read_bytes() != (tree / name).read_bytes()]
    return found


def need(value: str) -> None:
    """Skip where the processor lacks what a factor asks for."""
    if (flag := NEEDS.get(value)) and flag not in FLAGS:
        pytest.skip(f"this processor has no {flag}")


@pytest.mark.parametrize(("number", "factor"), list(enumerate(NUMPY)), ids=str)
def test_what_is_drawn_and_judged_is_the_same_whatever_numpy_is_told(tree, tmp_path, monkeypatch, number, factor):
    """Of the figures each factor draws every third."""
    need("v4" if factor[1] == "X86_V4" else "v3")
    found = jobs(tree, monkeypatch)
    again = found.pop("figure")[number :: len(NUMPY)]
    again += [record for step, records in found.items() for record in records[:: max(len(records) // 3, 1)][:3]]
    assert len(again) > 15
    assert differing(tree, tmp_path, again, **dict([factor])) == []


@pytest.mark.parametrize("factor", [*TORCH, *CORE], ids=lambda factor: "=".join(factor))
def test_what_is_trained_is_the_same_whatever_torch_and_the_core_are_told(tree, tmp_path, monkeypatch, factor):
    """Of the two-layer networks three, of those on images one an experiment."""
    need(factor[1])
    found = jobs(tree, monkeypatch)
    two_layer = found["train"]
    again = [*two_layer[:: max(len(two_layer) // 3, 1)][:3], *found["train-images"]]
    assert differing(tree, tmp_path, again, **dict([factor])) == []


def test_two_threads_give_what_one_gives(tree, tmp_path, monkeypatch):
    again = [record for records in jobs(tree, monkeypatch).values() for record in records[:2]]
    assert differing(tree, tmp_path, again, **dict.fromkeys(ONE_THREAD, "2")) == []


def test_another_compiler_gives_the_same_networks(tree, tmp_path, monkeypatch):
    debian.need({"clang++": "clang"})
    command = [sys.executable, tree / "workflow", "core", "--out", paths.CORE]
    (tmp_path / "core").mkdir()
    subprocess.run(command, cwd=tmp_path / "core", env=os.environ | {"CXX": "clang++"}, check=True)
    core = tmp_path / "core" / paths.CORE
    assert core.read_bytes() != (tree / paths.CORE).read_bytes()
    found = jobs(tree, monkeypatch)
    again = [record for step in TRAINING for record in found[step]]
    assert differing(tree, tmp_path, again, core) == []


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
