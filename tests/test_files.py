import json
import math
import re
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from winnow import files
from winnow.errors import WinnowError
from winnow.files import atomic, read_arrays, read_json, read_table, write_arrays, write_json, write_table


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_equal_arrays_are_equal_files(tmp_path):
    arrays = {"a": np.arange(5), "b": np.eye(2, dtype=np.float32)}
    for name in ("x", "y"):
        write_arrays(tmp_path / f"{name}.npz", **arrays)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    back = read_arrays(tmp_path / "x.npz")
    assert all(np.array_equal(back[key], arrays[key]) and back[key].dtype == arrays[key].dtype for key in arrays)


@pytest.mark.parametrize("damage", [None, lambda b: b[:-100], lambda b: b"", lambda b: b[:80] + b"\0\1\2\3" + b[84:]])
@pytest.mark.parametrize(
    ("read", "write", "kind"),
    [
        (read_arrays, lambda path: write_arrays(path, a=np.arange(1000)), "arrays"),
        (read_table, lambda path: write_table(path, {"a": np.arange(1000)}), "a table"),
        (read_json, lambda path: write_json(path, {"a": 1000 * [0]}), "JSON"),
    ],
    ids=["arrays", "table", "JSON"],
)
def test_a_missing_or_damaged_file_is_named(tmp_path, read, write, kind, damage):
    path = tmp_path / "x"
    write(path)
    assert len(read(path)["a"]) == 1000
    path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    with pytest.raises(
        WinnowError, match=f"^{re.escape(str(path))}: cannot be read as {kind} .*; delete it and run again$"
    ):
        read(path)


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(WinnowError, match=r"x\.npz"):
        read_arrays(tmp_path / "x.npz")


def test_a_table_comes_back_with_its_types(tmp_path):
    columns = {
        "name": ["a", "été", ""],
        "step": [0, 1, 2],
        "loss": (0.5, float("nan"), 1e-300),
        "x": np.ones(3, np.float32),
    }
    write_table(tmp_path / "x.parquet", columns)
    table = pq.read_table(tmp_path / "x.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double", "float"]
    assert table["name"].to_pylist() == columns["name"]
    assert table["step"].to_pylist() == columns["step"]
    assert np.array_equal(table["loss"].to_numpy(), columns["loss"], equal_nan=True)


def test_writing_a_table_does_not_import_pandas(tmp_path):
    code = f"""
import sys
from winnow.files import write_table
write_table({str(tmp_path / "x.parquet")!r}, {{"a": [1, 2], "b": ["x", "y"]}})
print("pandas" in sys.modules)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(files.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "False"


def test_json_has_no_numbers_that_readers_refuse(tmp_path):
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [float("inf"), 1.5], "c": (np.float64("-inf"), "NaN")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [None, 1.5], "c": [None, "NaN"]}


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_dead_process_left_of_a_file_is_swept_by_the_next_that_writes_it(tmp_path):
    """Nothing else is: not another file's, not that of a process that lives, nor of one on another machine."""
    dead = dead_process()
    swept = tmp_path / f".x.json.{files.HOST}.{dead}.tmp"
    kept = [f".y.json.{files.HOST}.{dead}.tmp", f".x.json.{files.HOST}.1.tmp", f".x.json.elsewhere.{dead}.tmp"]
    for name in (swept.name, *kept):
        (tmp_path / name).write_text("half")
    write_json(tmp_path / "x.json", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", *kept}
    assert all(files.UNFINISHED.fullmatch(name) for name in (swept.name, *kept))


def test_the_temporary_file_of_a_killed_process_is_swept(tmp_path):
    code = """
import os, signal
from winnow.files import atomic
with atomic("x.json") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    package = Path(files.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(package)})
    (left,) = tmp_path.iterdir()
    assert files.UNFINISHED.fullmatch(left.name)
    write_json(tmp_path / "x.json", 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.json"]


def test_numbers_are_rounded_to_nine_digits_wherever_they_stand():
    third = 0.333333333
    tree = {"a": [1 / 3, {"b": (2e-300 / 3, 7, "1/3", None, True)}], "c": np.float64(1 / 3), "d": math.nan}
    found = files.rounded(tree)
    assert math.isnan(found.pop("d"))
    assert found == {"a": [third, {"b": [6.66666667e-301, 7, "1/3", None, True]}], "c": third}
    assert files.rounded(np.array([[1 / 3, math.inf], [1e9 / 3, -0.0]])).tolist() == [[third, math.inf], [333333333, 0]]
    table = pd.DataFrame({"n": [1], "y": [1 / 3], "runs": [["a", "b"]], "name": ["x"]})
    assert files.rounded(table).to_dict("list") == {"n": [1], "y": [third], "runs": [["a", "b"]], "name": ["x"]}
    assert table.y[0] == 1 / 3
    assert files.rounded(math.pi, 3) == 3.14


@given(st.floats(allow_nan=False))
def test_what_is_rounded_stays_and_is_near(number):
    once = files.rounded(number)
    assert files.rounded(once) == once
    assert once == pytest.approx(number, rel=5.01e-9, abs=5e-324)
