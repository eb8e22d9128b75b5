"""What a step's record says: what it read, what it wrote, by which code."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from winnow import files
from winnow.audit.recorder import Recorder, wildcards
from winnow.audit.records import CHECKOUT, Records, located, record_path
from winnow.audit.results import tampered
from winnow.inputs import sha256

READS = r"pq\.read_table\(|read_parquet\(|read_csv\(|np\.load\(|safe_open\(|load_file\(|load_library\("
READS += r"|\.read_text\(|\.read_bytes\("
PACKAGE = CHECKOUT / "workflow/winnow"
NO_INPUTS = {PACKAGE / name for name in ("images/checkpoint.py", "config/load.py", "paths.py")}
"""A checkpoint changes no byte; the others plan, as the audit does."""
SOURCES = sorted({*PACKAGE.rglob("*.py")} - {*PACKAGE.glob("audit/*")} - NO_INPUTS)


def test_wildcards_are_named():
    path = "results/a/runs/sigma_n-0.5/noise_orthogonal-true/fraction-0/seed-12.parquet"
    assert wildcards(path) == {"sigma_n": "0.5", "noise_orthogonal": "true", "fraction": "0", "seed": "12"}
    assert wildcards("results/figures/fig2a.svg") == {}


@pytest.fixture
def step(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_step_is_recorded_by_the_files_that_it_read_and_wrote(step):
    files.write_json("results/a/in.json", 1)
    files.write_json("results/a/named.json", 2)
    files.WRITTEN.clear()
    recorder = Recorder(
        "step", ["--in", "results/a/named.json", "--n", "3", "--out", "results/a/x.json", "results/a/y.so"]
    )
    for name in ("in", "named"):
        json.loads(files.used(step / f"results/a/{name}.json").read_text())
    files.write_json("results/a/x.json", 3)
    with files.atomic("results/a/y.so") as temporary:
        temporary.write_text("a library")
    files.write_json("results/a/x.json", 3)
    recorder.finish()
    record = json.loads((step / record_path("results/a/x.json")).read_text())
    assert record == json.loads((step / record_path("results/a/y.so")).read_text())
    assert sorted(record["inputs"]) == ["results/a/in.json", "results/a/named.json"]
    assert sorted(record["outputs"]) == ["results/a/x.json", "results/a/y.so"]
    assert record["parameters"] == {"n": ["3"]}
    assert "workflow/winnow/files.py" in record["code"]
    assert "workflow/winnow/audit/recorder.py" not in record["code"]
    run = json.loads((step / "results/provenance/a/x.json.run.json").read_text())
    assert {"start", "wall_s", "cpu_s", "peak_memory_mb", "host", "cpu", "threads", "versions", "commit"} <= set(run)
    assert not [name for name in map(str, step.rglob("*")) if name.endswith(".tmp")]


@pytest.mark.parametrize("replace", [lambda path: path.write_bytes(b"foreign"), Path.unlink])
def test_a_step_is_credited_with_what_it_read_and_wrote_whatever_lies_there_when_it_ends(step, replace):
    given, made = Path("results/a/in.parquet"), [Path("results/a/x.json"), Path("results/a/y.parquet")]
    files.write_table(given, {"x": [1]})
    files.WRITTEN.clear()
    recorder = Recorder("step", [])
    files.used(given)
    files.write_json(made[0], 1)
    files.write_table(made[1], {"x": [2]})
    hashes = {str(path): sha256(path) for path in (given, *made)}
    for path in (given, *made):
        replace(path)
    recorder.finish()
    record = json.loads(Path(record_path(str(made[0]))).read_text())
    assert record["inputs"] | record["outputs"] == {path: {"sha256": digest} for path, digest in hashes.items()}
    assert [f.what for f in tampered(str(made[0]), "of other bytes", Records())] == [
        "is not the file that `step` wrote"
    ]


def test_the_record_is_the_same_every_time(step):
    texts = []
    for _ in range(2):
        recorder = Recorder("step", ["--out", "results/x.json"])
        files.write_json("results/x.json", [1, 2])
        recorder.finish()
        texts.append((step / record_path("results/x.json")).read_text())
    assert texts[0] == texts[1]
    assert str(step) not in texts[0]
    assert sys.prefix not in texts[0]


def test_a_step_without_results_writes_no_record(step):
    recorder = Recorder("schema", ["elsewhere.json"])
    files.write_json("elsewhere.json", 1)
    recorder.finish()
    assert not (step / "results").exists()


def test_an_outside_file_is_recorded_as_it_was_given(step, monkeypatch):
    """By its absolute path it is found from wherever the results are copied to."""
    outside = step / "outside.txt"
    outside.write_text("")
    (step / "work").mkdir()
    monkeypatch.chdir(step / "work")
    recorder = Recorder("step", [])
    for path in (outside, "../outside.txt", step / "work/../outside.txt"):
        files.used(path)
    files.write_json("results/x.json", 1)
    recorder.finish()
    given = json.loads(Path(record_path("results/x.json")).read_text())["inputs"]
    assert sorted(given) == ["../outside.txt", str(outside), f"{step}/work/../outside.txt"]
    (step / "elsewhere/deeper").mkdir(parents=True)
    monkeypatch.chdir(step / "elsewhere/deeper")
    assert located(str(outside)).is_file()


def test_an_archive_of_the_tree_inside_another_repository_has_no_commit(tmp_path):
    tree = tmp_path / "archive"
    shutil.copytree(CHECKOUT / "workflow", tree / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    code = "from winnow.audit.recorder import commit; print(commit())"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]

    def said() -> str:
        run = subprocess.run([sys.executable, "-c", code], cwd=tree / "workflow", capture_output=True, text=True)
        return run.stdout.strip()

    def repository(folder: Path) -> str:
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *command], cwd=folder, check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()

    repository(tmp_path)
    assert said() == "None"
    assert repository(tree) == said().removesuffix("-dirty")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_what_a_step_reads_is_noted(file):
    """A file that is read without `used(path)` is missing in the records."""
    for line in file.read_text().splitlines():
        assert not re.search(READS, line) or "used(" in line, f"wrap the path in used(): {line.strip()}"
