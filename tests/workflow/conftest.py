"""One complete run of config/ci.yaml, shared by all tests of the DAG.

Results of `make figures CONFIG=config/ci.yaml DIR=build/ci`, which CI makes before it tests, are taken from there: then
Snakemake has to run only what changed since.
"""

import shutil

import pytest
from project import KEPT, ROOT, snakemake


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A copy of the project after one complete run of config/ci.yaml on all cores."""
    folder = tmp_path_factory.mktemp("a copié tree")
    for name in KEPT:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for name in ("results", ".snakemake"):
        if (ROOT / "build/ci" / name).is_dir():
            shutil.copytree(ROOT / "build/ci" / name, folder / name, ignore=shutil.ignore_patterns("locks", "log"))
    run = snakemake(folder, "--cores", "all")
    assert run.returncode == 0, run.stdout
    return folder
