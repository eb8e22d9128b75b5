"""How far a result may be from its record in another numerics class: measured, by disturbing the numerics.

One job of every step and experiment is run again under each disturbance; what differs, and how far, is the tolerance.
The project's own core gives the same bits under all of them, so nothing that it computes has any.
"""

import random
import tempfile
from pathlib import Path

from ..errors import WinnowError
from ..files import write_json
from .records import RESULTS
from .rederive import TOLERANCE, difference, run_again
from .results import Records, results

DISTURBANCES = (
    {"ATEN_CPU_CAPABILITY": "default", "WINNOW_ISA": "v3"},  # plain is slow, and tested against it
    {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell", "WINNOW_ISA": "v3"},
    {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
)
FACTOR = 2  # a tolerance is this times the largest distance seen
NEVER = ("seed", "step", "fraction", "n", "x")  # columns that say what a row is


def measure(seed: int = 0) -> dict:
    """The tolerances by step and column, and how they were measured."""
    records, jobs = Records(), {}
    for path in random.Random(seed).sample(tables := [p for p in results() if p.endswith(".parquet")], len(tables)):
        record = records.get(path)
        if record:
            jobs.setdefault((record["step"], path.split("/")[1] if "/runs/" in path else path), record)
    if not jobs:
        raise WinnowError("nothing to measure: there are no tables with records in this working directory")
    steps = {step: {} for step, _ in jobs}
    for (step, _), record in sorted(jobs.items()):
        for disturbance in DISTURBANCES:
            for column, far in _distances(record, disturbance).items():
                if column not in NEVER and far < float("inf"):
                    steps[step][column] = max(steps[step].get(column, 0), FACTOR * far)
    how = f"`python workflow audit tolerance`: {FACTOR} times the largest distance that a disturbance made"
    return {"how": how, "disturbances": DISTURBANCES, "jobs": len(jobs), "steps": steps}


def _distances(record: dict, disturbance: dict[str, str]) -> dict[str, float]:
    """The largest distance of each column that one job's tables have under a disturbance."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        if (run := run_again(record, Path(folder), **disturbance)).returncode:
            raise WinnowError(f"`{record['step']}` cannot be run again: {run.stderr.strip()}")
        for path in record["outputs"]:
            if path.startswith(RESULTS) and path.endswith(".parquet"):
                for column, far in difference(path, Path(folder) / path).items():
                    found[column] = max(found.get(column, 0), far)
    return found


def update(seed: int) -> None:
    """Measure the tolerances on the results in the working directory and keep them."""
    found = measure(seed)
    write_json(TOLERANCE, found)
    print(f"{TOLERANCE}: {found['jobs']} jobs under {len(DISTURBANCES)} disturbances; look at its diff")
