"""The project under test: where it is, what a copy of it needs, and how Snakemake is run in one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("Snakefile", "config.yaml", "config", "envs", "profiles", "tests/golden", "workflow")


def snakemake(tree: Path, *arguments: str, config: str = "config/ci.yaml") -> subprocess.CompletedProcess:
    """Run Snakemake in a tree; output and errors together."""
    command = [sys.executable, "-m", "snakemake", "--configfile", config, *arguments]
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    run.args = command
    return run
