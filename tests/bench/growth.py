"""What 10,000 runs in batches of 10 cost the workflow itself: `make growth` prints it, config/SCALE.md says it.

Planning, finding nothing to do and collecting are measured on real files of the right size: one run is trained and
written 10,000 times, each with its own fraction and seed. No test, because a loaded machine would fail it.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from winnow import collect, paths
from winnow.config.load import load
from winnow.files import write_table

ROOT = Path(__file__).resolve().parents[2]
SWEEP = {
    "kind": "two_layer",
    "fractions": [k / 10 for k in range(10)],
    "seeds": 1000,
    "seeds_per_job": 10,
    "training": {"max_steps": 20},
}
CONFIG = {"experiments": {"sweep": SWEEP}, "figures": []}
FIRST = paths.run("sweep", []).format(fraction="0", seed="0")
TABLE = paths.table("sweep", "metrics")


def measured(what: str, *command: str) -> None:
    """Run a command and print its CPU time, wall time and memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open("growth.log", "a") as log:
        clock = os.times().elapsed
        subprocess.run([sys.executable, *command], check=True, stdout=log, stderr=log)
        wall = os.times().elapsed - clock
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:45} {cpu:6.1f} s CPU {wall:6.1f} s wall, largest process so far {after.ru_maxrss // 1024:5} MB")


def snakemake(*arguments: str) -> list[str]:
    """A Snakemake command on the sweep."""
    command = ["-m", "snakemake", "--snakefile", f"{ROOT}/Snakefile", "--configfile", "sweep.yaml", "--cores", "1"]
    return [*command, *arguments]


def multiply(grid: dict) -> None:
    """Write the one trained run as every run of the grid, and its data as every seed's."""
    columns = pq.ParquetFile(FIRST).read().to_pydict()
    length = len(columns["seed"])
    for path, expected in collect.runs("sweep", grid):
        write_table(path, columns | {key: [value] * length for key, value in expected.items()})
    data = paths.data("sweep", [])
    content = Path(data.format(seed="0")).read_bytes()
    for seed in grid["seed"]:
        Path(data.format(seed=seed)).write_bytes(content)


def main() -> None:
    """Measure in a temporary folder."""
    grid = load(CONFIG).experiments["sweep"].grid
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("sweep.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
        measured("plan 10,000 runs (--dry-run)", *snakemake("--dry-run", TABLE))
        measured("one batch of 10 runs, with the core and data", *snakemake(FIRST))
        multiply(grid)
        command = ["collect", "--experiment", "sweep", "--settings", paths.settings("sweep")]
        command += ["--grid", json.dumps(grid), "--metrics", TABLE]
        measured("collect", f"{ROOT}/workflow", *command, "--summary", paths.table("sweep", "summary"))
        measured("take the files as made (--touch)", *snakemake("--touch", TABLE))
        measured("nothing to do", *snakemake(TABLE))
        assert "Nothing to be done" in Path("growth.log").read_text(encoding="utf-8")
        size = sum(file.stat().st_size for file in Path(TABLE).parent.joinpath("runs").rglob("*.parquet"))
        print(f"{size / 10_000 / 1024:.1f} KB a run's file")


if __name__ == "__main__":
    main()
