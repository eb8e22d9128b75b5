"""Building and loading the library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow import core
from winnow.audit.records import CHECKOUT
from winnow.core.build import build
from winnow.errors import WinnowError

HERE = Path(__file__).parent


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
    for name, message in (("none.so", "missing"), ("broken.so", "file too short")):
        path = tmp_path / name
        command = [sys.executable, "-c", code, path]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(core.__file__).parents[2])
        assert f"WinnowError: {path}: the compiled core" in done.stderr and message in done.stderr


def test_a_disk_that_lets_nothing_run_is_named(library, tmp_path):
    # The shell stands in the folder below what it mounts, and goes into it anew.
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o noexec none . && cd "$PWD" && "$@"', "sh"]
    if (tried := subprocess.run([*mount, "true"], cwd=tmp_path, capture_output=True, text=True)).returncode:
        pytest.skip(f"no disk can be mounted here: {tried.stderr.strip()}")
    code = "import shutil, sys; shutil.copy(sys.argv[1], 'op.so'); from winnow import core; core.load('op.so')"
    environment = os.environ | {"PYTHONPATH": str(Path(core.__file__).parents[2])}
    done = subprocess.run(
        [*mount, sys.executable, "-c", code, library], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "op.so: the compiled core does not load: its disk lets nothing run (noexec)" in done.stderr, done.stderr


def test_loading_twice_does_nothing(library):
    core.load(library)
    core.load(library)


def test_another_compiler_gives_the_bits_of_this_one(library, clang):
    """In a process of its own, as one core can be loaded; tests/images/test_bits.py has the layers and convolutions."""
    code = (
        "import sys; from winnow import core; core.load(sys.argv[1]);"
        "from test_bits import digest; print(digest(100, 200), digest(215, 5), digest(100, 200, 1, 1))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(CHECKOUT / "workflow")])}
    said = [
        subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=True)
        for path in (library, clang)
    ]
    assert clang.read_bytes() != library.read_bytes()
    assert said[0].stdout == said[1].stdout
    assert len(said[0].stdout.split()) == 3


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell how memory is mapped")
def test_large_memory_is_private_as_huge_pages_need_it():
    inputs = core.padded(4000, 300)
    ranges = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = {tuple(int(end, 16) for end in where.split("-")): rights for where, rights, *_ in ranges}
    [rights] = [rights for (low, high), rights in spans.items() if low <= inputs.data_ptr() < high]
    assert rights == "rw-p"
    assert inputs.data_ptr() % (1 << 21) == 0 and not inputs.any()
