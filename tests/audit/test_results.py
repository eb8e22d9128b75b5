"""Which results there are and what their records say: nothing is overlooked, nothing damaged is believed."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import markdown_it
import numpy
import pytest

from winnow import files
from winnow.audit.recorder import MODULES, Recorder
from winnow.audit.records import CHECKOUT, Records, lock, record_path
from winnow.audit.results import devices, made_with, results, seen

RUN = "results/a/runs/fraction-0/seed-0.parquet"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def make(*paths: str) -> None:
    """Write files with a record, as a step does."""
    files.WRITTEN.clear()
    recorder = Recorder("step", ["--out", *paths])
    for path in paths:
        files.write_table(path, {"x": [1.0]})
    recorder.finish()


def test_an_experiment_on_another_disk_is_looked_at(folder):
    make(RUN)
    shutil.move(folder / "results/a", folder.parent / "scratch")
    (folder / "results/a").symlink_to(folder.parent / "scratch")
    assert results() == [RUN]


def test_a_link_into_its_own_folder_is_not_followed_for_ever(folder):
    make(RUN)
    (folder / "results/a/again").symlink_to(folder / "results/a")
    (folder / "results/a/runs/around").symlink_to(folder.parent)
    (folder / "results/a/itself").symlink_to("itself")
    (folder / "results/a/nowhere").symlink_to("nothing-here")
    assert results() == [RUN]


def test_two_links_to_one_folder_are_two_experiments(folder):
    make(RUN)
    (folder / "results/b").symlink_to("a")
    assert results() == [RUN, RUN.replace("/a/", "/b/")]


def test_what_no_step_makes_is_left_out_by_its_whole_name(folder):
    make("results/x.parquet")
    for name in ("README.md", "report.html", "README.md.parquet", "logs/a.log", "logs-of-old/a.log"):
        (folder / "results" / name).parent.mkdir(exist_ok=True)
        (folder / "results" / name).write_text("")
    assert results() == ["results/README.md.parquet", "results/logs-of-old/a.log", "results/x.parquet"]


def test_there_may_be_none(folder):
    assert results() == []


def test_files_records_and_runs_are_counted(folder):
    make(RUN, RUN.replace("seed-0", "seed-1"))
    make("results/a/metrics.parquet")
    assert seen(results(), Records()) == {"files": 3, "records": 2, "runs": 2}


@pytest.mark.parametrize("suffix", [".json", ".run.json"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: text[: len(text) // 2],
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k not in ("record", "step", "versions")}),
    ],
)
def test_a_damaged_record_is_none(folder, suffix, change):
    """Of one output only: the records of the job's other outputs stay good."""
    other = RUN.replace("seed-0", "seed-1")
    make(RUN, other)
    file = Path(record_path(other).removesuffix(".json") + suffix)
    file.write_text(change(file.read_text()))
    records = Records()
    assert records.get(RUN) and records.run(RUN)
    assert records.get(other) is None and records.run(other) is None


def test_a_gpu_is_told_from_the_processor(folder):
    for path, found in (
        ("results/a.parquet", "cpu"),
        ("results/b.parquet", "NVIDIA H100"),
        ("results/c.parquet", "cpu"),
    ):
        make(path)
        file = Path(record_path(path))
        assert json.loads(file.read_text())["device"] == "cpu"
        text = json.dumps(json.loads(file.read_text()) | {"device": found})
        file.write_text(text)
        run = file.with_name(f"{file.stem}.run.json")
        digest = hashlib.sha256(text.encode()).hexdigest()
        run.write_text(json.dumps(json.loads(run.read_text()) | {"record": digest}))
    assert devices(["results/a.parquet", "results/c.parquet"], Records()) == ["cpu"]
    assert devices(results(), Records()) == ["NVIDIA H100", "cpu"]


@pytest.mark.parametrize(
    ("package", "module", "file"), [("numpy", numpy, "version.py"), ("markdown-it-py", markdown_it, "__init__.py")]
)
def test_results_of_other_packages_than_the_locks_are_told_by_their_run_records(folder, package, module, file):
    """A real step, with a package on PYTHONPATH that says it is another version; nothing of it is left afterwards."""
    real, other = Path(module.__file__).parent, folder.parent / f"packages/{module.__name__}"
    other.mkdir(parents=True)
    for entry in real.iterdir():
        (other / entry.name).symlink_to(entry)
    (other.parent / "numpy.libs").symlink_to(Path(numpy.__file__).parents[1] / "numpy.libs")
    text = (real / file).read_text()
    (other / file).unlink()
    (other / file).write_text(text.replace(module.__version__, "0.0.1"))
    command = [sys.executable, CHECKOUT / "workflow"]
    (folder / "a.md").write_text("# A\n")
    environment = os.environ | {"PYTHONPATH": str(other.parent)}
    subprocess.run([*command, "page", "a.md", "--out", "results/a.html"], env=environment, check=True)
    for audit in (["rederive", "results/a.html"], ["sample", "1"]):
        run = subprocess.run([*command, "audit", *audit, "--json"], capture_output=True, text=True)
        assert run.returncode == 5, run.stdout + run.stderr
        told = f"was made with {package} 0.0.1 (the lock has {lock()[package]})"
        assert [f["what"] for f in json.loads(run.stdout)["findings"]] == [told]


def test_every_package_of_the_lock_is_asked_by_the_name_it_is_imported_as():
    imported = importlib.metadata.packages_distributions()
    for name in lock():
        assert name in map(str.lower, imported[MODULES.get(name, name)]), name


def test_deriving_a_page_again_says_that_it_repeats_no_run(folder):
    """And what settings are made of is all that there is to repeat: nothing is said."""
    command = [sys.executable, CHECKOUT / "workflow"]
    Path("results").mkdir()
    Path("results/claims.md").write_text("# Claims\n")
    settings = '{"experiment": "a", "settings": {}}'
    subprocess.run([*command, "page", "results/claims.md", "--out", "results/pages/claims.html"], check=True)
    subprocess.run([*command, "settings", "--json", settings, "--out", "results/a/experiment.json"], check=True)
    for path, says in (
        ("results/pages/claims.html", "identical (made again from its inputs, no run repeated)"),
        ("results/a/experiment.json", "identical"),
    ):
        run = subprocess.run([*command, "audit", "rederive", path, "--json"], capture_output=True, text=True)
        assert [f["what"] for f in json.loads(run.stdout)["findings"]] == [says]


def test_a_local_version_is_that_of_the_lock():
    pins = lock()
    assert {"numpy", "torch", "pyarrow", "snakemake"} <= set(pins)
    assert made_with("x", {"versions": {"torch": f"{pins['torch']}+cpu", "python": "3.99", "other": "1"}}) == []
    assert made_with("x", {"versions": {"torch": "2.0"}})[0].code == 5
