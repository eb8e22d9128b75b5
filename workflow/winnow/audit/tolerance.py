"""How far a result may be from its record in another numerics class: measured, by disturbing the numerics.

Every job of the results in the working directory is run again under each disturbance, in the order that they ran in and
each from what the disturbed ones before it wrote. What differs, and how far, is the tolerance. The project's own core
gives the same bits under all of them.
"""

import tempfile
from pathlib import Path

from ..errors import WinnowError
from ..files import write_json
from .compare import FIXED, TOLERANCE, difference, network
from .rederive import run_again
from .results import Records, results

DISTURBANCES = (  # plain C++ is slow, and the core's tests hold it to v3
    {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "WINNOW_ISA": "v3",
    },
    {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        "OPENBLAS_CORETYPE": "Haswell",
        "WINNOW_ISA": "v3",
    },
    {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
)
FACTOR = 2  # a tolerance is this times the largest distance seen


def measure() -> dict:
    """The tolerances by network, step and column, and how they were measured."""
    records = Records()
    jobs = {id(record): path for path in results() if (record := records.get(path))}
    jobs = sorted(jobs.values(), key=lambda path: records.run(path)["start"])
    if not jobs:
        raise WinnowError("nothing to measure: there are no results with records in this working directory")
    networks = {}
    for disturbance in DISTURBANCES:
        with tempfile.TemporaryDirectory() as folder:
            for path in jobs:
                record = records.get(path)
                columns = networks.setdefault(network(path, records), {}).setdefault(record["step"], {})
                for column, far in _distances(record, Path(folder), disturbance).items():
                    columns[column] = max(columns.get(column, 0), FACTOR * far)
    networks = {name: {step: columns for step, columns in steps.items() if columns} for name, steps in networks.items()}
    how = f"`python workflow audit tolerance`: {FACTOR} times the largest distance that a disturbance made"
    return {"how": how, "disturbances": DISTURBANCES, "jobs": len(jobs), "networks": networks}


def _distances(record: dict, folder: Path, disturbance: dict[str, str]) -> dict[str, float]:
    """The largest distance, where it is a number, of each column of a job's tables and JSON files when disturbed."""
    if (run := run_again(record, folder, **disturbance)).returncode:
        raise WinnowError(f"`{record['step']}` cannot be run again: {run.stderr.strip()}")
    found = {}
    for path in record["outputs"]:
        if path.endswith((".parquet", ".json")):
            for column, far in difference(path, folder / path).items():
                if far < float("inf") and column not in FIXED:
                    found[column] = max(found.get(column, 0), far)
    return found


def update() -> None:
    """Measure the tolerances on the results in the working directory and keep them."""
    found = measure()
    write_json(TOLERANCE, found)
    print(f"{TOLERANCE}: {found['jobs']} jobs under {len(DISTURBANCES)} disturbances; look at its diff")
