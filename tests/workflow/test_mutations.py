"""The audit of a real run: what it finds after every kind of damage, each by its exit code."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from project import ROOT, audit, snakemake

from winnow import paths
from winnow.audit.records import lock
from winnow.catalogue import FIGURES
from winnow.steps import STEPS

RUN = "results/fig5/runs/fraction-0/seed-0.parquet"
OTHER = "results/fig5/runs/fraction-0/seed-3.parquet"  # of the same job
CONFIG = "config/ci.yaml"
PACKAGE = "workflow/winnow"
PARTS = {"core": ["core/*.[chi]*"], "figure": [paths.CURVES]}  # of the code of a step, beside its modules


def verify(tree: Path) -> tuple[int, str]:
    """Exit code of `audit verify`, and what it found as one text."""
    code, found = audit(tree, "verify", "--config", CONFIG)
    return code, "\n".join(f"{f['code']} {f['path']} {f['what']}" for f in found["findings"])


class Files:
    """The files of a tree, which remember their bytes and times until they are restored."""

    def __init__(self, tree: Path):
        self.tree, self.kept = tree, {}

    def __call__(self, path: str) -> Path:
        file = self.tree / path
        if file not in self.kept:
            stat = file.stat() if file.exists() else None
            self.kept[file] = (file.read_bytes(), stat.st_atime_ns, stat.st_mtime_ns) if stat else None
        return file

    def write(self, path: str, content: bytes) -> None:
        """New bytes with the old time."""
        file = self(path)
        file.write_bytes(content)
        if self.kept[file]:
            os.utime(file, ns=self.kept[file][1:])

    def flip(self, path: str) -> None:
        content = bytearray(self(path).read_bytes())
        content[len(content) // 2] ^= 1
        self.write(path, bytes(content))

    def replace(self, path: str, old: str, new: str) -> None:
        text = self(path).read_text()
        assert old in text
        self.write(path, text.replace(old, new).encode())

    def swap(self, a: str, b: str) -> None:
        first, second = self(a).read_bytes(), self(b).read_bytes()
        self.write(a, second)
        self.write(b, first)

    def edit_record(self, path: str, change) -> None:
        """Change a record and sign it again, as somebody would who knows how."""
        file = record(path)
        value = json.loads(self(file).read_text())
        change(value)
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        run = json.loads(self(run_record(path)).read_text()) | {"record": hashlib.sha256(text.encode()).hexdigest()}
        self.write(file, text.encode())
        self.write(run_record(path), json.dumps(run).encode())

    def restore(self) -> None:
        for file, kept in self.kept.items():
            if kept is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(kept[0])
                os.utime(file, ns=kept[1:])


def record(path: str) -> str:
    return f"results/provenance/{path.removeprefix('results/')}.json"


def run_record(path: str) -> str:
    return record(path).removesuffix(".json") + ".run.json"


@pytest.fixture
def files(tree):
    found = Files(tree)
    yield found
    found.restore()


def test_a_fresh_run_is_intact(tree):
    assert verify(tree) == (0, "")


def test_verify_says_what_it_looked_at(tree):
    _, found = audit(tree, "verify", "--config", CONFIG)
    records = [file for file in (tree / "results/provenance").rglob("*.json") if not file.name.endswith(".run.json")]
    runs = list((tree / "results").glob("*/runs/**/*.parquet"))
    jobs = len({file.read_bytes() for file in records})
    assert found["looked_at"] == {"files": len(records), "records": jobs, "runs": len(runs), "copies": 0}


def test_an_experiment_may_lie_on_another_disk(tree, tmp_path):
    """As a symbolic link, and with a link in it that leads back to where it lies."""
    place, scratch = tree / "results/fig5", tmp_path / "fig5"
    shutil.move(place, scratch)
    place.symlink_to(scratch)
    (scratch / "back").symlink_to(tree / "results")
    try:
        assert verify(tree) == (0, "")
        assert audit(tree, "rederive", RUN)[0] == 0
        assert snakemake(tree, "--dry-run").stdout.count("Nothing to be done") == 1
    finally:
        (scratch / "back").unlink()
        place.unlink()
        shutil.move(scratch, place)


def tamper_and_sign(files: Files) -> None:
    files.flip(RUN)
    digest = hashlib.sha256(files(RUN).read_bytes()).hexdigest()
    files.edit_record(RUN, lambda value: value["outputs"][RUN].update(sha256=digest))


def swap_settings(files: Files) -> None:
    files.replace(CONFIG, "sigma_n: 1.5", "sigma_n: 0.1")
    files.replace(CONFIG, "learning_rate: 0.1", "learning_rate: 1.5")


def swap_recorded_values(files: Files) -> None:
    def swap(value: dict) -> None:
        at = value["command"].index("--fraction") + 1
        value["command"][at] = "0.5"
        value["parameters"]["fraction"] = ["0.5"]

    files.edit_record(RUN, swap)


def swap_runs_with_records(files: Files) -> None:
    other = "results/fig5/runs/fraction-0.5/seed-0.parquet"
    for name in (str, record, run_record):
        files.swap(name(RUN), name(other))


def touch_new(files: Files, path: str) -> None:
    files(path)
    shutil.copy(files.tree / RUN, files.tree / path)


MUTATIONS = {
    "a byte of a run": (lambda f: f.flip(RUN), 4, f"{RUN} is not the file that `train` wrote"),
    "a byte of a figure": (lambda f: f.flip("results/figures/fig2a.svg"), 4, "fig2a.svg is not the file"),
    "a byte of the metrics": (lambda f: f.flip("results/fig2b/metrics.parquet"), 4, "metrics.parquet is not the file"),
    "a byte of the core": (lambda f: f.flip("results/core/libwinnow.so"), 4, "libwinnow.so is not the file"),
    "a byte of the settings": (lambda f: f.flip("results/fig5/experiment.json"), 4, "experiment.json is not the file"),
    "a run and its record": (tamper_and_sign, 4, "was made from another results/fig5/runs/fraction-0/seed-0.parquet"),
    "a run deleted": (lambda f: f(RUN).unlink(), 4, f"{RUN} missing"),
    "data deleted": (lambda f: f("results/fig5/data/seed-1.npz").unlink(), 4, "seed-1.npz missing"),
    "a record deleted": (lambda f: f(record(RUN)).unlink(), 4, f"{RUN} its record is missing"),
    "a run record of another seed deleted": (
        lambda f: f(run_record(OTHER)).unlink(),
        4,
        f"{OTHER} its record is missing",
    ),
    "a run record deleted": (lambda f: f(run_record(RUN)).unlink(), 4, f"{RUN} its record is missing"),
    "a record edited": (lambda f: f.replace(record(RUN), '"step": "train"', '"step": "data"'), 4, "was changed"),
    "another seed's data": (
        lambda f: shutil.copy(f.tree / "results/fig5/data/seed-1.npz", f("results/fig5/data/seed-0.npz")),
        4,
        "seed-0.npz is not the file that `data` wrote",
    ),
    "two runs swapped with their records": (swap_runs_with_records, 4, "its record is missing or was changed"),
    "a file of nobody": (lambda f: touch_new(f, "results/fig5/runs/fraction-0/seed-9.parquet"), 4, "seed-9.parquet"),
    "one more seed": (
        lambda f: f.replace(CONFIG, "seeds: 6\n    seeds_per_job: 6", "seeds: 7"),
        4,
        "seed-6.npz missing",
    ),
    "another root seed": (lambda f: f.replace(CONFIG, "root_seed: 2025", "root_seed: 2026"), 1, "root_seed 2025, now"),
    "two settings swapped": (swap_settings, 1, "learning_rate 0.1, now 1.5"),
    "two values swapped in a signed record": (swap_recorded_values, 1, "fraction 0.5, now 0"),
    "a source": (
        lambda f: f.replace(f"{PACKAGE}/two_layer/pruning.py", "Masks are", "masks are"),
        1,
        "pruning.py",
    ),
    "a source of the core": (lambda f: f.replace(f"{PACKAGE}/core/v3.cpp", "//", "///"), 1, "v3.cpp"),
    "the paper's numbers": (
        lambda f: f.replace(f"{PACKAGE}/paper/published.csv", "0.024", "0.025"),
        1,
        "published.csv",
    ),
    "packages of a run that are not the lock's": (
        lambda f: f.replace(run_record(RUN), f'"numpy": "{lock()["numpy"]}"', '"numpy": "2.3.5"'),
        5,
        f"{RUN} was made with numpy 2.3.5 (the lock has",
    ),
    "a configuration that cannot be planned": (
        lambda f: f.replace(CONFIG, "max_steps: 5000", "max_step: 5000"),
        6,
        "the workflow cannot be planned: ",
    ),
    "a byte of a run and a configuration that cannot be planned": (
        lambda f: (f.flip(RUN), f.replace(CONFIG, "max_steps: 5000", "max_step: 5000")),
        4,
        "the workflow cannot be planned: ",
    ),
    "a source and a configuration that cannot be planned": (
        lambda f: (f.replace(CONFIG, "max_steps: 5000", "max_step: 5000"), f.write(f"{PACKAGE}/page.py", b"")),
        6,
        "was made by another",
    ),
    "requirements": (lambda f: f.replace("envs/requirements.txt", "scipy==", "scipy==0."), 5, "the lock has 0."),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_is_found(tree, files, name):
    """Every row keeps the times of the files it changes."""
    damage, expected, told = MUTATIONS[name]
    damage(files)
    code, found = verify(tree)
    assert code == expected, found
    assert told in found


def test_a_run_is_derived_again_bit_for_bit(tree):
    code, found = audit(tree, "rederive", RUN)
    assert code == 0
    assert {f["what"] for f in found["findings"]} == {"identical"}
    assert len(found["findings"]) == 6  # the job's seeds


def test_what_is_missing_is_not_derived_again(tree, files):
    """One seed of the job is gone; that the others are identical says nothing about it."""
    files(OTHER).unlink()
    code, found = audit(tree, "rederive", RUN)
    assert code == 4
    assert [f["path"] for f in found["findings"] if f["code"]] == [OTHER]


def test_a_result_that_code_no_longer_gives_is_drift(tree, files):
    files.replace(f"{PACKAGE}/two_layer/training.py", "learning_rate=rates", "learning_rate=0.1001")
    code, found = audit(tree, "rederive", RUN)
    assert code == 1
    assert "train_loss by" in found["findings"][0]["what"]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.flip(RUN), 4),
        (lambda f: f.flip("results/fig5/data/seed-5.npz"), 4),
        (lambda f: f(record(RUN)).unlink(), 4),
        (lambda f: f(RUN).unlink(), 4),
        (lambda f: f.replace("envs/requirements.txt", "scipy==", "scipy==0."), 5),
    ],
    ids=["tampered", "input tampered", "no record", "missing", "environment"],
)
def test_nothing_is_derived_from_what_is_broken(tree, files, damage, expected):
    damage(files)
    assert audit(tree, "rederive", RUN)[0] == expected


def test_a_sample_is_seeded(tree):
    samples = [audit(tree, "sample", "1", "--seed", "3") for _ in range(2)]
    assert samples[0][0] == 0
    assert samples[0] == samples[1]
    assert audit(tree, "sample", "1", "--seed", "4") != samples[0]


def test_a_figure_is_traced_to_its_seeds_and_data(tree):
    code, found = audit(tree, "trace", "results/figures/fig2a.svg")
    assert code == 0
    steps = {entry["path"]: entry["step"] for entry in found["chain"]}
    assert set(steps.values()) == {"figure", "collect", "train", "data", "settings", "core"}
    streams = {stream for entry in found["chain"] for stream in entry["streams"]}
    assert streams == {f"2025/fig2a/{seed}/{stream}" for seed in range(6) for stream in ("data", "init", "mask")}
    assert len(found["points"]) == 2 * 3
    assert all(len(point["runs"]) == 6 for point in found["points"])


def test_every_point_of_every_figure_is_traced_to_its_runs(tree):
    """A point has one run a seed; two if it is a gain over dense, one a fraction if it is fitted to them."""
    tables = sorted((tree / "results/figures").glob("*.data.parquet"))
    assert len(tables) == len(yaml.safe_load((tree / CONFIG).read_text())["figures"])
    for table in tables:
        code, found = audit(tree, "trace", f"results/figures/{table.name.removesuffix('.data.parquet')}.svg")
        chain = {entry["path"] for entry in found["chain"]}
        drawn = [row for row in pq.read_table(table).to_pylist() if row.get("source") != "paper"]
        assert code == 0
        assert len(found["points"]) == len(drawn) > 0, table
        for point in found["points"]:
            a_seed = (5,) if point.get("panel") == "numbers" else (1, 2)
            assert len(point["runs"]) / point["n"] in a_seed, table
            assert set(point["runs"]) <= chain
            assert len({run.rsplit("/", 1)[1] for run in point["runs"]}) == point["n"]


def test_a_broken_link_shows_in_the_trace(tree, files):
    files.flip("results/fig2a/data/seed-3.npz")
    code, found = audit(tree, "trace", "results/figures/fig2a.svg")
    assert code == 4
    assert found["broken"] == ["results/fig2a/data/seed-3.npz"]


@pytest.mark.parametrize("arguments", [["rederive", "Snakefile"], ["verify", "--config", "none.yaml"], ["sample"], []])
def test_wrong_use_is_told_apart(tree, arguments):
    run = subprocess.run([sys.executable, "workflow", "audit", *arguments], cwd=tree, capture_output=True, text=True)
    assert run.returncode == 2
    assert "usage" in run.stderr


def test_tables_are_readable(tree):
    run = subprocess.run(
        [sys.executable, "workflow", "audit", "trace", "results/figures/fig2a.svg"],
        cwd=tree,
        capture_output=True,
        text=True,
    )
    assert "results/fig2a/metrics.parquet  <- collect(experiment fig2a" in run.stdout
    assert "6 runs, results/fig2a/runs/fraction-0.5/seed-0.parquet" in run.stdout


def test_every_recorded_input_is_declared_by_its_rule(tree):
    """What a step reads and Snakemake does not know of would not be rerun; what it is told to read, it notes."""
    declared = {}
    for line in map(str.strip, snakemake(tree, "--forceall", "--dry-run").stdout.splitlines()):
        if re.fullmatch(r"(local)?rule \S+:", line):
            inputs = set()
        elif line.startswith("input: "):
            inputs = set(line.removeprefix("input: ").split(", "))
        elif line.startswith("output: "):
            declared |= dict.fromkeys(line.removeprefix("output: ").split(", "), inputs)
    assert RUN in declared
    for path, inputs in declared.items():
        value = json.loads((tree / record(path)).read_text())
        # Data that a package ships lies outside: the lock and its sha256 answer for it.
        own = {name for name in value["inputs"] if not name.startswith("package:")}
        assert own <= inputs, path
        figure = Path(path).name.split(".")[0]
        parts = PARTS.get(value["step"], []) + ([f"figures.{FIGURES[figure].module}"] if figure in FIGURES else [])
        modules = paths.sources(STEPS[value["step"]], *parts)
        assert set(value["code"]) <= {file.relative_to(ROOT).as_posix() for file in modules}, path
        named = {argument for argument in value["command"] if argument.startswith("results/")}
        assert named <= value["inputs"].keys() | value["outputs"].keys(), path


def test_recording_costs_little(tree):
    """At most 5 % of the time of the jobs of an experiment, all of them together."""
    runs = [json.loads(file.read_text()) for file in (tree / "results/provenance").rglob("*.run.json")]
    jobs = {run["record"]: run for run in runs}.values()
    assert jobs
    assert sum(run["recording_s"] for run in jobs) <= 0.05 * sum(run["wall_s"] for run in jobs)
