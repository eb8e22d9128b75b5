"""Real runs of Snakemake: what the terminal says, and what its log file keeps."""

import re
import subprocess
import sys

import pytest

from winnow.audit.records import CHECKOUT

SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(CHECKOUT / "workflow")!r})
from winnow.terminal import one_line_a_job

rule all:
    input: expand("{{size}}/seed-{{seed}}.txt", size=["small", "large"], seed=range(2)), config.get("more", [])

rule:
    name: "train.{{seed}}"
    input: "in.txt"
    output: "{{size}}/seed-{{seed}}.txt"
    log: "{{size}}/seed-{{seed}}.log"
    shell: "cp in.txt {{output}} 2> {{log}}"

rule fails:
    input: "in.txt"
    output: "never.txt"
    log: "fails.log"
    shell: "echo this is why > {{log}}; false"

onstart:
    one_line_a_job(logger, workflow.output_settings.verbose)
"""


@pytest.fixture
def run(tmp_path):
    """Run Snakemake in a folder: returns its exit code, what it said, and what its log file holds."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "in.txt").write_text("")

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "reason", *arguments]
        told = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        logs = sorted((tmp_path / ".snakemake/log").glob("*.log"))
        return told.returncode, told.stdout, logs[-1].read_text() if logs else ""

    return snakemake


def test_the_terminal_has_a_line_a_job_and_the_log_file_everything(run):
    code, said, log = run()
    assert code == 0
    lines = said[said.index("total") :].splitlines()[1:]
    jobs = [re.fullmatch(r"\d\d:\d\d:\d\d (\d) of 5 steps \(\d+%\) done: (.*)", line) for line in lines if line]
    assert [match[1] for match in jobs[:5]] == list("12345")
    expected = {f"train.{seed}, size {size}" for seed in range(2) for size in ("small", "large")} | {"all"}
    assert {match[2] for match in jobs[:5]} == expected
    assert [line.split()[0] for line in lines if line][5:] == ["Complete", "Elapsed"]
    assert log.count("    output: ") == 4
    assert log.count("Finished jobid: ") == 5


def test_a_failed_job_shows_its_log_and_not_its_files(run):
    code, said, log = run("--config", "more=never.txt", "--keep-going", "--show-failed-logs")
    assert code != 0
    failed = said[said.index("Error in rule fails:") :]
    assert "this is why" in failed
    assert "echo this is why > fails.log; false" in failed
    assert "    output: " not in said
    assert "    output: never.txt" in log


@pytest.mark.parametrize("option", ["--dry-run", "--verbose"])
def test_who_asks_for_details_gets_them(run, option):
    _, said, _ = run(option)
    assert said.count("    output: ") == 4
