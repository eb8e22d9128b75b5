"""What verify says about files that are no results of this configuration: what to do, and no word of tampering."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import TINY, snakemake

from winnow.audit.records import CHECKOUT
from winnow.audit.results import Finding
from winnow.audit.verify import _gone

RUN = "results/{}/runs/fraction-{}/seed-{}.parquet"


def made(*experiments: str, fractions=("0", "0.5"), seeds=2) -> set[str]:
    runs = {RUN.format(name, fraction, seed) for name in experiments for fraction in fractions for seed in range(seeds)}
    return runs | {f"results/{name}/metrics.parquet" for name in experiments}


@pytest.mark.parametrize(
    ("now", "place", "told"),
    [
        (made("a"), "results/b", "is not of tiny.yaml; delete it, or give its --config"),
        (
            made("a", "b", fractions=["0"]),
            "results/{}/runs",
            "1 files or folders in it are not of tiny.yaml; delete them, or give their --config: fraction-0.5",
        ),
        (
            made("a", "b", seeds=1),
            "results/{}/runs",
            "2 files or folders in it are not of tiny.yaml; delete them, or give their --config: "
            "fraction-0.5/seed-1.parquet, fraction-0/seed-1.parquet",
        ),
    ],
    ids=["experiment", "fraction", "seed"],
)
def test_what_is_gone_is_one_line_a_folder(now, place, told):
    places = [place.format(name) for name in "ab"] if "{}" in place else [place]
    assert _gone(made("a", "b") - now, now, Path("tiny.yaml")) == [Finding(1, place, told) for place in places]


def test_a_single_file_is_named():
    assert [f.path for f in _gone({"results/claims.json"}, made("a"), Path("tiny.yaml"))] == ["results/claims.json"]


@pytest.fixture
def folder(library, tmp_path, monkeypatch):
    """A folder with the core that all tests share, and its records."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(library.parents[1], "results")
    return tmp_path


def run(folder: Path, seeds: int, root_seed: int, *names: str) -> None:
    """Configure small experiments, and make their tables."""
    tree = {"root_seed": root_seed, "experiments": {name: TINY | {"seeds": seeds} for name in names}, "figures": []}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    done = snakemake(folder, "--cores", "1", "--snakefile", f"{CHECKOUT}/Snakefile", config="tiny.yaml")
    assert done.returncode == 0, done.stdout


def verify(folder: Path) -> tuple[int, dict]:
    command = [sys.executable, CHECKOUT / "workflow", "audit", "verify", "--config", "tiny.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_seeds_experiments_and_leftovers_are_told_after_a_real_run(folder):
    run(folder, 2, 7, "a", "b")
    run(folder, 1, 8, "a")
    for name in (".seed-0.parquet.node.4242.tmp", ".seed-0.parquet.checkpoint"):
        (folder / "results/a/runs/fraction-0.5" / name).write_text("half")
    code, found = verify(folder)
    assert code == 1
    told = {finding["path"]: (finding["code"], finding["what"]) for finding in found["findings"]}
    one = "1 files or folders in it are not of tiny.yaml; delete them, or give their --config: "
    assert told == {
        "results/b": (1, "is not of tiny.yaml; delete it, or give its --config"),
        "results/a/data": (1, f"{one}seed-1.npz"),
        "results/a/runs": (1, f"{one}fraction-0.5/seed-1.parquet"),
        "results/a/runs/fraction-0.5/.seed-0.parquet.checkpoint": (
            0,
            "left unfinished by a job that was killed or still runs (and 1 more): no result; "
            "delete it when nothing runs",
        ),
    }
    assert found["looked_at"] == {"files": 6, "records": 5, "runs": 1, "copies": 0}
