"""This machine as a lesser one: what holds numpy, OpenBLAS, torch, oneDNN and the core to older instructions.

All at once, because none of them can undo what another changes: one run tells of all, at a third of the time.
"""

from pathlib import Path

import pytest
from numpy._core import _multiarray_umath as numpy

FLAGS = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
FEATURES = [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__[name]]  # those that numpy can do without
BEYOND_AVX2 = [name for name in FEATURES if name == "X86_V4" or name.startswith("AVX512")]
LESSER = {
    "no AVX": {
        "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES),
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "WINNOW_ISA": "plain",
    },
    "AVX2": {
        "NPY_DISABLE_CPU_FEATURES": " ".join(BEYOND_AVX2),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "WINNOW_ISA": "v3",
    },
}
BEYOND = {"no AVX": "avx2", "AVX2": "avx512f"}  # what a processor must have to be held to less


def lesser(name: str) -> dict[str, str]:
    """The variables of a lesser processor; skips where this one is no better."""
    if BEYOND[name] not in FLAGS:
        pytest.skip(f"this processor has no {BEYOND[name]} to do without")
    return LESSER[name]
