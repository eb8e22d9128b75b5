"""A result is credited to nothing that did not make it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow import files, inputs
from winnow.errors import WinnowError
from winnow.files import atomic
from winnow.inputs import check_unchanged, digest, sha256, used


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that the process has read, in its working directory."""
    monkeypatch.chdir(tmp_path)
    path = Path("in.json")
    path.write_text("one")
    used(path)
    return path


def test_a_file_has_the_hash_of_when_it_was_first_read(file):
    one = sha256(file)
    file.write_text("two")
    assert digest(file) == one != sha256(file)


def rewritten_with_its_old_time(file):
    stat = file.stat()
    file.write_text("two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced(file):
    file.with_name("new").write_text("two")
    os.replace(file.with_name("new"), file)


@pytest.mark.parametrize("change", [lambda f: f.write_text("two"), rewritten_with_its_old_time, replaced, Path.unlink])
def test_nothing_is_put_in_place_once_an_input_has_changed(file, change):
    Path("out.json").write_text("of a newer run")
    with (
        pytest.raises(WinnowError, match=r"^in\.json changed while this step ran: run it again$"),
        atomic("out.json") as t,
    ):
        t.write_text("late")
        change(file)
    assert Path("out.json").read_text() == "of a newer run"
    assert {path.name for path in Path().iterdir()} <= {"in.json", "out.json"}
    assert not files.WRITTEN


def test_a_file_that_was_only_touched_or_came_back_is_the_same(file):
    os.utime(file)
    check_unchanged()
    replaced(file)
    file.write_text("one")
    with atomic("out.json") as temporary:
        temporary.write_text("")
    assert Path("out.json").exists()


def test_what_cannot_be_read_is_left_to_its_reader(tmp_path):
    assert used(tmp_path / "none") == tmp_path / "none"
    used(tmp_path)
    assert not inputs.READ
    check_unchanged()


def test_only_what_was_touched_is_read_again(file, monkeypatch):
    """A step may have thousands of inputs, and puts many results in place."""
    read = []
    monkeypatch.setattr(inputs, "sha256", lambda path: read.append(path) or sha256(path))
    check_unchanged()
    assert not read
    os.utime(file, (1, 1))
    check_unchanged()
    check_unchanged()
    assert read == ["in.json"]


def test_a_module_is_noted_as_it_was_imported(tmp_path):
    """Also one that a step imports late; what is edited before its import is what made the result."""
    package = tmp_path / "winnow"
    package.mkdir()
    for name in ("__init__", "errors", "inputs"):
        (package / f"{name}.py").write_bytes(Path(inputs.__file__).with_name(f"{name}.py").read_bytes())
    (package / "late.py").write_text("X = 1")
    code = """
from pathlib import Path
from winnow import inputs
inputs.note_modules()
late = Path("winnow/late.py")
late.write_text("X = 22")
from winnow.late import X
assert X == 22
inputs.check_unchanged()
assert sorted(Path(name).name for name in inputs.READ) == ["__init__.py", "errors.py", "inputs.py", "late.py"]
late.write_text("X = 333")
inputs.check_unchanged()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.endswith("WinnowError: winnow/late.py changed while this step ran: run it again\n")


def test_a_result_is_not_credited_to_a_source_whose_bytecode_is_that_of_another(tmp_path):
    """Archives and copies that set times can leave a source of the size and time that the bytecode beside it has."""
    package = tmp_path / "winnow"
    package.mkdir()
    for name in ("__init__", "errors", "inputs"):
        (package / f"{name}.py").write_bytes(Path(inputs.__file__).with_name(f"{name}.py").read_bytes())
    for x in (1, 2):
        (package / "late.py").write_text(f"X = {x}")
        os.utime(package / "late.py", (1e9, 1e9))
        code = "from winnow import inputs; inputs.note_modules(); from winnow.late import X; print(X)"
        plain = "from winnow.late import X"  # writes the bytecode of the first one
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
        for command in (plain, code) if x == 1 else (code,):
            how = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": True}
            done = subprocess.run([sys.executable, "-c", command], **how)
        assert list(package.glob("__pycache__/late.*"))
        assert done.stdout == f"{x}\n"
