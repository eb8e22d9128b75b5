"""The step `core`: compile the masked core into one shared library with g++ (or $CXX), without a build system."""

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from ..errors import WinnowError
from ..files import atomic, used

HERE = Path(__file__).parent

# GCC contracts a * b + c differently on different instruction sets: that is off, and fused operations are written out.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno"]
FLAGS += ["-fno-trapping-math"]
# Where a loop of a step begins would else depend on the code before it: 2 % of a step at density .001.
ALIGNED = ["-falign-functions=64", "-falign-loops=64"]
# The operators choose among the instruction sets at run time; v3 and v4 are empty on other machines.
ISAS = {"plain": [], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"]}


def units(isas: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the compiler is told for each object of the kernels: three an instruction set, all from its one source.

    AVX-512 has a fourth, its steps for a slow third-level cache. They are apart because the compiler inlines less of
    each in a larger unit.
    """
    parts = {"": ALIGNED, "_layers": ["-DWINNOW_LAYERS"], "_convolutions": ["-DWINNOW_CONVOLUTIONS"]}
    found = {isa + part: [f"{isa}.cpp", *march, *more] for isa, march in isas.items() for part, more in parts.items()}
    if "v4" in isas:
        found["v4_slow_cache"] = ["v4.cpp", *isas["v4"], *ALIGNED, "-DWINNOW_SLOW_CACHE"]
    return found


def build(target: Path) -> None:
    """Compile the library into `target`, which appears complete or not at all.

    Raises WinnowError if there is no C++17 compiler ($CXX, else g++) or if it fails.
    """
    compiler = (os.environ.get("CXX") or "g++").split()
    if shutil.which(compiler[0]) is None:
        raise WinnowError(f"no C++ compiler: {compiler[0]} is not on PATH; install g++ or set CXX")
    for source in sorted(HERE.glob("*.[chi]*")):
        used(source)
    site = Path(torch.__file__).parent.resolve()
    # torch's stable interface as of 2.10, the oldest version that has what the operators need. Its headers put their
    # own path into messages: the library must not depend on the folder that torch lies in.
    include = [f"-isystem{site / 'include'}", f"-ffile-prefix-map={site}=torch"]
    include += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
    with atomic(Path(target).resolve()) as library, tempfile.TemporaryDirectory() as scratch:
        here = ISAS if platform.machine() == "x86_64" else {isa: [] for isa in ISAS}
        objects = {name: [f"{name}.cpp", *include] for name in ("op", "layers", "planes", "convolutions")} | units(here)
        made = {name: f"{scratch}/{name}.o" for name in objects}
        _run(*([*compiler, *FLAGS, "-c", *what, "-o", made[name]] for name, what in objects.items()))
        _run([*compiler, "-shared", "-o", str(library), *made.values(), f"-L{site / 'lib'}", "-ltorch_cpu"])


def _run(*commands: list[str]) -> None:
    """Run compilers side by side, in the folder of the sources."""
    said_to = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    running = [subprocess.Popen(command, cwd=HERE, **said_to) for command in commands]
    said = [process.communicate()[0] for process in running]
    for command, process, text in zip(commands, running, said, strict=True):
        if process.returncode:
            raise WinnowError(f"the C++ compiler failed (CXX chooses another one): {' '.join(command)}\n{text}")


def main(arguments: list[str]) -> None:
    """Compile the core."""
    parser = argparse.ArgumentParser(prog="python workflow core", description=main.__doc__)
    parser.add_argument("--out", required=True, type=Path, help="the shared library")
    build(parser.parse_args(arguments).out)
