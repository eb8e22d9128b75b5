"""What the workflow would run now, asked of Snakemake itself, whatever shell and home configure for it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from ..errors import WinnowError
from .records import CHECKOUT

# -I: neither PYTHON* nor the home's packages count, -X utf8: nor does the locale. Profiles are looked for in the
# environment, in the home, in the working directory and in the checkout.
SNAKEMAKE = ["-I", "-X", "utf8", "-m", "snakemake", "--profile", "none", "--workflow-profile", "none", "--nocolor"]


def planned(config: Path) -> dict[str, list[str]]:
    """Every file that the DAG of a configuration writes, and the command line (step, arguments) that writes it.

    Raises WinnowError where Snakemake makes no plan.
    """
    command = [sys.executable, *SNAKEMAKE, "--snakefile", CHECKOUT / "Snakefile", "--configfile", config, "--nolock"]
    command += ["--forceall", "--dry-run", "--printshellcmds", "--cores", "1", "--rerun-incomplete"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    said_to = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    run = subprocess.run(command, env=environment, **said_to)
    commands, outputs, jobs = {}, [], 0
    for line in map(str.strip, run.stdout.split("\n")):  # the jobs of a group are indented
        if line.startswith("output: "):
            outputs = line.removeprefix("output: ").split(", ")
        elif line.startswith("Shell command: python "):
            words = shlex.split(line.removeprefix("Shell command: "))
            redirection = words.index("2>") if "2>" in words else len(words)
            commands |= dict.fromkeys(outputs, words[2:redirection])
            jobs += 1
    total = re.search(r"^total +(\d+)$", run.stdout, re.MULTILINE)  # with `all`, which runs no command
    if run.returncode or not total or jobs != int(total[1]) - 1:
        raise WinnowError(f"the workflow cannot be planned: {_reason(run.stdout)}")
    return commands


def _reason(said: str) -> str:
    """What Snakemake says about an error, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith('  File "')]
    errors = [n for n, line in enumerate(lines) if re.match(r"\w*(Error|Exception)\b", line)]
    return " ".join(lines[errors[-1] :] if errors else lines[-1:]) or "Snakemake says nothing"
