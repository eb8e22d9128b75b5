"""What bounds a step on this core: its arithmetic, or the rows that it must get from its second or third level."""

import ctypes
import os
import subprocess
from pathlib import Path

from winnow import core

AHEAD = (0, 4, 8, 16)  # rows that are fetched ahead; the fastest counts
COUNT = 10_000  # rows that a step reads from: more than a second level holds


def rows(folder: Path, columns: int, seconds):
    """Actions that give the seconds that a row of `columns` takes from the second level, and from beyond it.

    Compiles rows.cpp into a folder with $CXX, else g++.
    """
    library, lines = folder / "rows.so", -(-columns // 16)
    compiler = (os.environ.get("CXX") or "g++").split()
    command = [*compiler, "-O3", "-march=native", "-shared", "-fPIC", "-Wno-psabi", "-o", str(library)]
    subprocess.run([*command, str(Path(__file__).with_name("rows.cpp"))], check=True)
    read = ctypes.CDLL(str(library)).read_rows
    read.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 4]
    read.restype = ctypes.c_float
    memory = core.padded(COUNT, 16 * lines)
    memory.fill_(1)

    def a_row(count: int) -> float:
        times, first = 50_000 // count, memory.data_ptr()
        ways = [lambda ahead=ahead: read(first, count, lines, ahead, times) for ahead in AHEAD]
        return min(map(seconds, ways)) / (count * times)

    near = 512 * 1024 // (64 * lines)  # in a second level of 1 MB or more, and in no first level
    return lambda: a_row(near), lambda: a_row(COUNT)


def binding(kept: int, used: int, columns: int, gemm: float, second: float, third: float) -> tuple[str, float]:
    """(what binds, seconds of a step at that limit).

    Two multiply-adds for every kept weight and column at the rate of GEMM (flop/s); a row from the second level for
    every kept weight; every row that some weight reads once from the third. The last two in seconds a row.
    """
    limits = {"arithmetic": 4 * kept * columns / gemm, "L2": kept * second, "L3": used * third}
    name = max(limits, key=limits.get)
    return name, limits[name]
