"""Beyond x86: the kernels, cross-compiled and run under an emulator, give the bytes that this processor gives."""

import platform
import subprocess
from pathlib import Path

import pytest
from debian import need

from winnow import core
from winnow.core import build

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
HERE = Path(__file__).parent


def driver(folder, compiler, isa, march):
    """The driver with the kernels of one instruction set, compiled as `build` does."""
    objects = build.units({isa: march}) | {"driver": [str(HERE / "driver.cpp"), f"-DISA={isa}"]}
    made = {name: str(folder / f"{name}.o") for name in objects}
    for name, what in objects.items():
        command = [compiler, *build.FLAGS, f"-I{build.HERE}", "-c", *what, "-o", made[name]]
        subprocess.run(command, check=True, cwd=build.HERE)
    subprocess.run([compiler, "-static", *made.values(), "-o", str(folder / "driver")], check=True)
    return str(folder / "driver")


def test_an_arm_processor_computes_the_same_bytes(tmp_path):
    if platform.machine() != "x86_64":
        pytest.skip("this is no x86-64: its own bytes are what the other tests look at")
    need({COMPILER: "g++-aarch64-linux-gnu", EMULATOR: "qemu-user", "g++": "g++"})
    for folder in ("x86", "arm"):
        (tmp_path / folder).mkdir()
    here = driver(tmp_path / "x86", "g++", core.isa(), build.ISAS[core.isa()])
    there = driver(tmp_path / "arm", COMPILER, "plain", [])
    ours = subprocess.run([here], check=True, capture_output=True, text=True).stdout.splitlines()
    theirs = subprocess.run([EMULATOR, there], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(ours) > 1000
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []
