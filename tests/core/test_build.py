"""Building and loading the library."""

import subprocess
import sys
from pathlib import Path

import pytest

from winnow import core
from winnow.core.build import build
from winnow.errors import WinnowError


def test_no_compiler_is_one_line_that_names_cxx(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(WinnowError, match=r"no C\+\+ compiler: no-such-compiler .* set CXX$"):
        build(tmp_path / "core.so")
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(WinnowError, match="compiler failed"):
        build(tmp_path / "core.so")
    assert not list(tmp_path.iterdir())


def test_a_missing_or_broken_library_is_one_line(tmp_path):
    (tmp_path / "broken.so").write_text("not a library")
    code = "import sys; from winnow import core; core.load(sys.argv[1])"
    for name, message in (("none.so", "missing"), ("broken.so", "does not load")):
        path = tmp_path / name
        command = [sys.executable, "-c", code, path]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(core.__file__).parents[2])
        assert f"WinnowError: {path}: the compiled core" in done.stderr and message in done.stderr


def test_loading_twice_does_nothing(library):
    core.load(library)
    core.load(library)
