"""What all tests share: processes, the compiled core, built once, and a processor left as it was found."""

import fcntl
import subprocess
import sys

import hypothesis
import pytest
import torch
from debian import need
from xdist.scheduler import LoadScopeScheduling

from winnow import core, files, inputs, paths
from winnow.audit.records import CHECKOUT
from winnow.core.build import build

hypothesis.settings.register_profile("any speed", deadline=None)  # no test is timed
hypothesis.settings.load_profile("any speed")


LONG = ("tests/workflow/", "tests/checkout/")  # minutes a file


class Together(LoadScopeScheduling):
    """On several cores the tests of a file run in one process, for they share its fixtures; so do all tests of the DAG,
    which share one run of it.
    """

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return LONG[0] if file.startswith(LONG[0]) else file


def pytest_xdist_make_scheduler(config, log):
    """What hands out tests to processes."""
    return Together(config, log)


def pytest_collection_modifyitems(items):
    """What takes minutes starts first."""
    items.sort(key=lambda item: next((k for k, folder in enumerate(LONG) if item.nodeid.startswith(folder)), len(LONG)))


@pytest.fixture(scope="session")
def library(tmp_path_factory, worker_id):
    """The core as its rule makes it, in a results/ folder with its records."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "core"  # the processes of a run share what lies above
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / paths.CORE).is_file():
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


torch.manual_seed(0)  # of numbers that are drawn while a file of tests is read; torch has another seed in every process


@pytest.fixture(autouse=True)
def torch_as_found():
    """The same numbers of torch for every test; a step inside one may flush subnormals, which hypothesis refuses."""
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No colours in output that is read, and bytecode where a test looks for it."""
    for name in ("FORCE_COLOR", "PYTHONPYCACHEPREFIX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch):
    """Each test is a process of its own: what others read may have changed, and is no input of its results."""
    monkeypatch.setattr(inputs, "READ", {})
    monkeypatch.setattr(files, "WRITTEN", {})
