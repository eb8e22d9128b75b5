"""Levels of iterative magnitude pruning when `fractions` is edited: what rests on another level now is made anew."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from project import ROOT, snakemake


def edit(folder: Path, fractions: list[float]) -> None:
    """Write the configuration of a folder: a small network on digits, at some fractions."""
    experiment = {
        "kind": "images",
        "data": {"source": "digits", "n_test": 1500},
        "model": {"hidden": [12, 9]},
        "training": {"epochs": 2, "batch_size": 32},
        "axes": {"method": ["imp", "shuffled_imp"]},
        "fractions": fractions,
        "seeds": 1,
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
    return set(re.findall(r"^train_tiny_(\w+)_\{seed\} +\d+$", output, re.MULTILINE))


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
