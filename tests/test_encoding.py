"""Texts are UTF-8, whatever the locale says."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from project import TINY

from winnow.audit.records import CHECKOUT

TEXT = "é ± 枝刈り …"
SOURCES = sorted((CHECKOUT / "workflow").rglob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_no_text_is_read_or_written_in_the_encoding_of_the_locale(file):
    """`open` is for bytes, the rest names its encoding."""
    for call in ast.walk(ast.parse(file.read_bytes())):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        keys = {key.arg for key in call.keywords}
        assert "text" not in keys, f"line {call.lineno}: encoding=, not text="
        assert name not in ("read_text", "write_text") or "encoding" in keys, f"line {call.lineno}: no encoding"
        if isinstance(call.func, ast.Name) and name == "open":
            assert "b" in call.args[1].value, f"line {call.lineno}: no bytes"


@pytest.fixture(params=["ja_JP.EUC-JP", "en_US.ISO-8859-1", "C"])
def locale(request, tmp_path):
    """The environment of a shell in which Python's own encoding is another one."""
    name = request.param
    environment = os.environ | {"LC_ALL": name, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if name != "C":
        language, charset = name.split(".")
        localedef = shutil.which("localedef")
        command = [localedef, "-i", language, "-f", charset, tmp_path / name]
        if not localedef or subprocess.run(command, capture_output=True).returncode:
            pytest.skip(f"localedef cannot make the locale {name} here")
        environment["LOCPATH"] = str(tmp_path)
    code = "import locale; print(locale.getencoding())"
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "UTF-8" not in said.stdout
    return environment


def test_a_step_reads_and_writes_utf_8(tmp_path, locale):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/x.md").write_text(TEXT, encoding="utf-8")
    command = [sys.executable, CHECKOUT / "workflow", "page", "results/x.md", "--out", "results/x.html"]
    done = subprocess.run(command, cwd=tmp_path, env=locale, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert TEXT in (tmp_path / "results/x.html").read_bytes().decode()


def test_the_workflow_is_planned(tmp_path, locale):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"experiments": {"tiny": TINY}, "figures": []}))
    command = [sys.executable, "-m", "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--configfile", "tiny.yaml"]
    done = subprocess.run([*command, "--dry-run"], cwd=tmp_path, env=locale, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_audit_is_readable_in_any_terminal(tmp_path, locale):
    command = [sys.executable, CHECKOUT / "workflow", "audit", "trace", "results/é.svg"]
    done = subprocess.run(command, cwd=tmp_path, env=locale, capture_output=True)
    assert done.returncode == 4, done.stderr
    assert b"Traceback" not in done.stderr
