"""The project under test: where it is, what a copy of it needs, and how Snakemake is run in one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("Snakefile", "config.yaml", "config", "envs", "profiles", "tests/golden", "workflow")

EXIT_SOON = ("--max-jobs-per-timespan", "1000/1s")  # Snakemake waits that long when it is done; the profile has more


def snakemake(tree: Path, *arguments: str, config: str = "config/ci.yaml") -> subprocess.CompletedProcess:
    """Run Snakemake in a tree; output and errors together."""
    command = [sys.executable, "-m", "snakemake", "--configfile", config, *EXIT_SOON, *arguments]
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2400)
    run.args = command
    return run
