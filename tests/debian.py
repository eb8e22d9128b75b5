"""Programs that a test needs from Debian: installed where that is allowed, else the test says what it lacks."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def need(packages: dict[str, str]) -> None:
    """Install the packages of missing programs (program: package), or skip and say why that cannot be done.

    One test at a time, as apt-get has one lock and tests run side by side.
    """
    with open(Path(tempfile.gettempdir(), f"winnow-apt-{os.geteuid()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(packages)


def _install(packages: dict[str, str]) -> None:
    paths = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [package for program, package in packages.items() if not shutil.which(program, path=paths)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"not installed, and only root can install it, with apt-get: {', '.join(missing)}")
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run = subprocess.run(["apt-get", "-qq", *command], capture_output=True, text=True, env=environment)
        if run.returncode:
            pytest.skip(f"apt-get {command[0]}: {run.stderr.strip().splitlines()[-1]}")
