"""When `fractions` or the methods are edited: what rests on another level of imp now is made anew, and nothing else."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from project import ROOT, snakemake


def edit(
    folder: Path, fractions: list[float], methods: tuple[str, ...] = ("imp", "shuffled_imp"), seeds: int = 1
) -> None:
    """Write the configuration of a folder: a small network on digits, by some methods, all seeds in one job."""
    experiment = {
        "kind": "images",
        "data": {"source": "digits", "n_test": 1500},
        "model": {"hidden": [12, 9]},
        "training": {"epochs": 2, "batch_size": 32},
        "axes": {"method": list(methods)},
        "fractions": fractions,
        "seeds": seeds,
        "seeds_per_job": seeds,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"experiments": {"tiny": experiment}, "figures": []}))


def ask(folder: Path, *arguments: str) -> str:
    """Ask Snakemake for something in a folder; what it says."""
    run = snakemake(folder, "--snakefile", f"{ROOT}/Snakefile", "--cores", "1", *arguments, config="tiny.yaml")
    assert run.returncode == 0, run.stdout
    return run.stdout


def run_at(fraction: float, method: str = "imp") -> str:
    return f"results/tiny/runs/method-{method}/fraction-{fraction}/seed-0.parquet"


def trained(output: str) -> set[str]:
    """The stages whose jobs a run of Snakemake counted."""
    return set(re.findall(r"^train_tiny\.(\w+)\.(?:\{seed\}|0) +\d+$", output, re.MULTILINE))


def new(folder: Path, library: Path, fractions: list[float]) -> Path:
    """A folder that knows the core and a configuration."""
    (folder / "results/core").mkdir(parents=True)
    shutil.copy(library, folder / "results/core")
    edit(folder, fractions)
    return folder


@pytest.fixture(scope="module")
def scratch(library, tmp_path_factory):
    """A folder with the run at fraction 0.6 after the levels 0 and 0.3: what any other way there must give."""
    folder = new(tmp_path_factory.mktemp("scratch"), library, [0, 0.3, 0.6])
    ask(folder, run_at(0.6))
    return folder


def test_a_level_in_between_renews_the_levels_above_it(scratch, library, tmp_path):
    folder = new(tmp_path, library, [0, 0.6])
    ask(folder, run_at(0.6), run_at(0.6, "shuffled_imp"))
    direct = (folder / run_at(0.6)).read_bytes()
    edit(folder, [0, 0.3, 0.6])
    assert trained(ask(folder, run_at(0.6, "shuffled_imp"), "--dry-run")) == {"imp_0", "imp_1", "shuffled_2"}
    assert trained(ask(folder, run_at(0.6))) == {"imp_0", "imp_1", "imp_2"}
    assert (folder / run_at(0.6)).read_bytes() == (scratch / run_at(0.6)).read_bytes() != direct

    edit(folder, [0, 0.6])
    assert trained(ask(folder, run_at(0.6))) == {"imp_0", "imp_1"}
    assert (folder / run_at(0.6)).read_bytes() == direct


def test_a_level_above_renews_the_level_that_hands_it_its_mask_and_none_below(scratch):
    edit(scratch, [0, 0.3, 0.6, 0.8])
    assert trained(ask(scratch, run_at(0.8), "--dry-run")) == {"imp_2", "imp_3"}
    edit(scratch, [0, 0.3, 0.6])
    assert trained(ask(scratch, run_at(0.6), "--dry-run")) == set()


def test_the_dense_network_is_trained_once_and_a_method_more_needs_a_copy(library, tmp_path):
    folder, methods = new(tmp_path, library, [0]), ("erk", "imp", "snip")
    edit(folder, [0], methods, seeds=2)
    assert trained(ask(folder, "results/tiny/metrics.parquet")) == {"imp_0"}
    table = pq.read_table(folder / "results/tiny/metrics.parquet").to_pandas()
    assert set(zip(table.method, table.seed, strict=True)) == set(itertools.product(methods, (0, 1)))
    erk, imp, snip = (part.drop(columns=["method", "run"]).to_numpy().tolist() for _, part in table.groupby("method"))
    assert erk == imp == snip
    assert len({tuple(losses) for losses in table.groupby("seed").train_loss.apply(set)}) == 2

    kept = (folder / run_at(0)).stat().st_mtime_ns
    edit(folder, [0], (*methods, "grasp"), seeds=2)
    assert trained(ask(folder, "results/tiny/metrics.parquet")) == set()
    assert (folder / run_at(0)).stat().st_mtime_ns == kept
    said = {}
    for command in ("rederive", "trace"):
        call = [sys.executable, ROOT / "workflow", "audit", command, run_at(0, "grasp")]
        said[command] = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    assert said["rederive"].returncode == 0, said["rederive"].stdout
    assert f"<- dense-run(methods {json.dumps(['erk', 'snip', 'grasp'])})" in said["trace"].stdout
    assert run_at(0) in said["trace"].stdout
