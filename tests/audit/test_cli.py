"""The audit's commands: what they say where there is nothing to look at, and how findings make an exit code."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from winnow.audit.cli import show
from winnow.audit.records import CHECKOUT
from winnow.audit.results import Finding

SEEN = {"files": 3, "records": 2, "runs": 1}
EMPTY = {"experiments": {"a": {"kind": "two_layer", "fractions": [0], "seeds": 1}}, "figures": []}


def test_the_worst_finding_decides(capsys):
    order = (0, 5, 1, 6, 4)
    findings = [Finding(code, "x", "[red]y") for code in order]
    for n, code in enumerate(order, start=1):
        assert show(findings[:n], SEEN, as_json=True) == code
        assert json.loads(capsys.readouterr().out)["code"] == code
    assert show([], SEEN, as_json=False) == 0
    assert "looked at 3 files, 2 records, 1 runs: identical" in capsys.readouterr().out
    assert show(findings, SEEN, as_json=False) == 4
    assert "[red]y" in capsys.readouterr().out


def test_findings_of_one_kind_are_one_line(capsys):
    """Two hundred seeds that give what they gave are one line, and each file that differs has its own."""
    findings = [Finding(0, f"results/a/{n}.parquet", "identical") for n in range(200)]
    findings += [Finding(1, f"results/b/{n}.parquet", f"differs: x by {n}") for n in (1, 2)]
    show(findings, SEEN, as_json=False)
    lines = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["1", "1", "results/b/1.parquet", "differs: x by 1"],
        ["1", "1", "results/b/2.parquet", "differs: x by 2"],
        ["0", "200", "results/a/0.parquet", "identical"],
    ]
    show(findings, SEEN, as_json=True)
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 202


def test_who_looked_at_nothing_does_not_say_identical(capsys):
    nothing = {"files": 0, "records": 0, "runs": 0}
    assert show([], nothing, as_json=True) == 4
    assert json.loads(capsys.readouterr().out)["looked_at"] == nothing


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["verify", "--config", "empty.yaml"], 4, "looked at 0 files, 0 records, 0 runs, 0 copies"),
        (["sample", "5"], 4, "looked at 0 files, 0 records, 0 runs"),
        (["golden"], 4, "looked at 0 files, 0 records, 0 runs"),
        (["golden", "--config", "empty.yaml"], 4, "holds nothing to compare with"),
        (["rederive", "results/a.parquet"], 4, "looked at 0 files, 0 records, 0 runs"),
        (["trace", "results/a.parquet"], 4, "looked at 0 files, 0 records, 0 runs"),
        (["trace", "results/a.parquet"], 4, "there is no results/a.parquet here"),
        (["sample", "0"], 2, "usage"),
        (["sample", "-1"], 2, "usage"),
        (["publish", "--config", CHECKOUT / "config/ci.yaml"], 6, "error: results/"),
        (["publish", "--config", "empty.yaml"], 6, "empty.yaml is not published: only config.yaml and"),
    ],
)
def test_in_an_empty_folder_no_command_says_that_all_is_well(tmp_path, arguments, code, says):
    (tmp_path / "empty.yaml").write_text(yaml.safe_dump(EMPTY))
    command = [sys.executable, CHECKOUT / "workflow", "audit", *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    assert says in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("step", ["audit", "train", "figure"])
def test_a_python_without_the_packages_names_the_one_that_has_them(tmp_path, step):
    command = [sys.executable, "-S", CHECKOUT / "workflow", step]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    python = os.path.relpath(CHECKOUT / ".venv/bin/python", tmp_path)
    made = "" if (CHECKOUT / ".venv/bin/python").exists() else ", which `make env` makes"
    assert re.fullmatch(rf"error: \S+ has no \w+; use {re.escape(python + made)}\n", run.stderr), run.stderr
