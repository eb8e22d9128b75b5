"""Every command that the documentation shows is run; long ones as far as they can be without the work."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from project import ROOT

PAGES = ["README.md", "results/README.md"]
PAGES += sorted(
    path.relative_to(ROOT).as_posix() for folder in ("config", "docs") for path in ROOT.glob(f"{folder}/**/*.md")
)
PROGRAM = re.compile(r"\(?(make|snakemake|python|pip|cd|pd\.\w+\() ?\S")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLUGINS = {"profiles/slurm": "snakemake_executor_plugin_slurm", "s3": "snakemake_storage_plugin_s3"}
CONFIG = "config/ci.yaml"


def commands(page: str) -> list[str]:
    """The commands of a page, without comments: whole lines of its code, and code within its text."""
    text = (ROOT / page).read_text()
    if page == "Makefile":
        return re.findall(r"^# (make \S+)", text, re.MULTILINE)
    blocks = [block for language, block in FENCED.findall(text) if not language]
    lines = [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines() if line]
    assert all(PROGRAM.match(line) for line in lines), f"{page}: {lines}"
    outside = FENCED.sub("", text)
    indented = re.findall(r"^ {4}(\S.*)$", outside, re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside)]
    return lines + [code for code in indented + inline if PROGRAM.match(code)]


SHOWN = sorted({command for page in [*PAGES, "Makefile"] for command in commands(page)})


def as_run_here(command: str) -> str:
    """The command itself, or what of it takes no minutes, no network and no cluster."""
    program = command.split()[0]
    if program == "make":
        return f"set -o pipefail; make --dry-run {command.removeprefix('make')} | bash -n"
    if program == "snakemake":
        return f"{command} --dry-run"
    if program == "pip":
        return f"{command} --dry-run --no-index"
    if program.startswith("pd."):
        return f"python -c {shlex.quote(f'import pandas as pd; print({command})')}"
    return command.replace("sample 20", "sample 1")


@pytest.fixture(scope="module")
def finished(tree, tmp_path_factory):
    """The tree after its run, whose configuration is now the default one, and a part of it in build/ci."""
    copy = tmp_path_factory.mktemp("commands") / "tree"
    shutil.copytree(tree, copy)
    shutil.copy(copy / CONFIG, copy / "config.yaml")
    shutil.copy(ROOT / "Makefile", copy)
    (copy / "build/ci").mkdir(parents=True)
    shutil.copytree(copy / "results", copy / "build/ci/results")
    subprocess.run([sys.executable, "workflow", "audit", "publish", "--config", CONFIG], cwd=copy, check=True)
    return copy


def test_the_commands_are_found():
    assert {command.split()[0].split(".")[0] for command in SHOWN} == {
        "make",
        "snakemake",
        "python",
        "pip",
        "pd",
    }
    assert len(SHOWN) > 25


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_of_the_documentation_runs(finished, command):
    for word, plugin in PLUGINS.items():
        if command.startswith("snakemake") and word in command and not find_spec(plugin):
            pytest.skip(f"{plugin} is not installed (`make test-slurm` runs on a real Slurm)")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))} | {"PATH": path}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 600}
    run = subprocess.run(["bash", "-c", as_run_here(command)], cwd=finished, env=environment, **pipe)
    assert "Traceback" not in run.stdout, run.stdout
    if command.startswith("pip"):
        assert "No matching distribution found" in run.stdout or run.returncode == 0, run.stdout
    else:
        assert run.returncode == 0, run.stdout
