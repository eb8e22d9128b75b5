"""The project under test: where it is, what a copy of it needs, and how Snakemake is run in one."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("Snakefile", "config.yaml", "config", "envs", "profiles", "workflow")

# An experiment of one run, over in a moment; tests say what they need otherwise.
TINY = {
    "kind": "two_layer",
    "data": {"dimension": 50, "n_train": 20, "n_test": 100},
    "model": {"width": 4},
    "training": {"max_steps": 20},
    "fractions": [0.5],
    "seeds": 1,
}


def snakemake(tree: Path, *arguments: str, config: str = "config/ci.yaml", **env) -> subprocess.CompletedProcess:
    """Run Snakemake in a tree, with further variables of the environment; output and errors together."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", config]
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.run(command, cwd=tree, env=os.environ | env, timeout=2400, **told)
    run.args = command
    return run


def audit(tree: Path, *arguments: str, **env) -> tuple[int, dict]:
    """Exit code and JSON of an audit command in a tree, with further variables of the environment."""
    command = [sys.executable, "workflow", "audit", *arguments, "--json"]
    run = subprocess.run(command, cwd=tree, env=os.environ | env, capture_output=True, text=True)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)
