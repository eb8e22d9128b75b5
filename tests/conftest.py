"""What all tests share: the compiled core, built once, and a processor left as it was found."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
import torch
from debian import need

from winnow import core, files, inputs, paths
from winnow.audit.records import CHECKOUT
from winnow.core.build import build

TESTS = Path(__file__).parent

hypothesis.settings.register_profile("any speed", deadline=None)  # no test is timed
hypothesis.settings.load_profile("any speed")


def pytest_collection_modifyitems(items):
    """On several cores the tests of a file run in one process, for they share its fixtures; those of the DAG share one
    run of it. What takes minutes starts first.
    """
    long = [TESTS / "workflow", TESTS / "checkout"]
    items.sort(key=lambda item: next((k for k, folder in enumerate(long) if folder in item.path.parents), len(long)))
    for item in items:
        group = long[0] if long[0] in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(TESTS))))


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The core as its rule makes it, in a results/ folder with its records."""
    folder = tmp_path_factory.mktemp("core")
    command = [sys.executable, CHECKOUT / "workflow", "core", "--out", paths.CORE]
    subprocess.run(command, cwd=folder, check=True)
    core.load(folder / paths.CORE)
    return folder / paths.CORE


@pytest.fixture(scope="session")
def clang(tmp_path_factory):
    """The core as another compiler makes it; a process loads one core only."""
    need({"clang++": "clang"})
    made = tmp_path_factory.mktemp("clang") / "libwinnow.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", "clang++")
        build(made)
    return made


@pytest.fixture(autouse=True)
def subnormals():
    """A step that runs inside a test may flush subnormal numbers, which hypothesis refuses to work with."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch):
    """Each test is a process of its own: what others read may have changed, and is no input of its results."""
    monkeypatch.setattr(inputs, "READ", {})
    monkeypatch.setattr(files, "WRITTEN", [])
