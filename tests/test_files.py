import numpy as np
import pytest

from winnow.errors import WinnowError
from winnow.files import atomic, read_arrays, write_arrays, write_json


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


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b"", lambda b: b[:80] + b"\0\1\2\3" + b[84:]])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "x.npz"
    write_arrays(path, a=np.arange(1000))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WinnowError, match=str(path)):
        read_arrays(path)


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(WinnowError, match=r"x\.npz"):
        read_arrays(tmp_path / "x.npz")
