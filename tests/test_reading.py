import re

import numpy as np
import pytest

from winnow.errors import WinnowError
from winnow.files import write_json, write_table
from winnow.reading import read_json, read_table


@pytest.mark.parametrize("cut", [None, 0, 100])
@pytest.mark.parametrize(
    ("read", "write", "kind"),
    [
        (read_table, lambda path: write_table(path, {"x": np.arange(100)}), "a table"),
        (read_json, lambda path: write_json(path, list(range(100))), "JSON"),
    ],
)
def test_what_is_missing_empty_or_truncated_is_named(tmp_path, read, write, kind, cut):
    path = tmp_path / "x"
    write(path)
    assert len(read(path)) == 100
    path.unlink() if cut is None else path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        WinnowError, match=f"^{re.escape(str(path))}: cannot be read as {kind} .*; delete it and run again$"
    ):
        read(path)
