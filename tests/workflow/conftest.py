"""One complete run of config/ci.yaml, shared by all tests of the DAG."""

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
    run = snakemake(folder, "--cores", "all")
    assert run.returncode == 0, run.stdout
    return folder
