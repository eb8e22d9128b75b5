"""Beyond x86: the kernels, cross-compiled and run under an emulator, give the bytes that this processor gives."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from winnow import core
from winnow.core import build

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
HERE = Path(__file__).parent


def driver(folder, compiler, names):
    """The driver with the kernels of some instruction sets, compiled as `build` does."""
    objects = []
    for name in (*names, "driver"):
        source = HERE / "driver.cpp" if name == "driver" else build.HERE / f"{name}.cpp"
        objects.append(str(folder / f"{name}.o"))
        march = build.SOURCES.get(name, []) if compiler == "g++" else []
        command = [compiler, *build.FLAGS, *march, f"-I{build.HERE}", "-c", str(source), "-o", objects[-1]]
        subprocess.run(command, check=True)
    subprocess.run([compiler, "-static", *objects, "-o", str(folder / "driver")], check=True)
    return str(folder / "driver")


def test_an_arm_processor_computes_the_same_bytes(tmp_path):
    if platform.machine() != "x86_64":
        pytest.skip("this is no x86-64: its own bytes are what the other tests look at")
    if missing := [tool for tool in (COMPILER, EMULATOR, "g++") if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: g++-aarch64-linux-gnu, qemu-user)")
    for folder in ("x86", "arm"):
        (tmp_path / folder).mkdir()
    here = driver(tmp_path / "x86", "g++", ["plain", "v3", "v4"])
    there = driver(tmp_path / "arm", COMPILER, ["plain"])
    ours = subprocess.run([here, core.isa()], check=True, capture_output=True, text=True).stdout.splitlines()
    theirs = subprocess.run([EMULATOR, there, "plain"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(ours) > 500
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []
