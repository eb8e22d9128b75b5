"""When a result that is not the golden one is drift, and when it is another machine's rounding."""

import pytest

from winnow.audit import golden

COLUMN = {"columns": {"loss": ["0123", 0.5]}}
TEXT = {"sha256": "aa", "words": "ww"}


@pytest.mark.parametrize(
    "old,new,same_class,codes",
    [
        (COLUMN, {"columns": {"loss": ["4567", 0.5 + 1e-9]}}, False, [3]),
        (COLUMN, {"columns": {"loss": ["4567", 0.5 + 1e-7]}}, False, [1]),
        (COLUMN, {"columns": {"error": ["4567", 0.5]}}, False, [1, 1]),
        (TEXT, {"sha256": "bb", "words": "ww"}, False, [3]),
        (TEXT, {"sha256": "bb", "words": "ww"}, True, [1]),
        (TEXT, {"sha256": "bb", "words": "vv"}, False, [1]),
        ({"sha256": "aa"}, {"sha256": "bb"}, False, [1]),
    ],
)
def test_numbers_may_move_in_another_class_and_verdicts_never(old, new, same_class, codes):
    found = golden._drift(old, new, {} if same_class else {"loss": 1e-8}, same_class)
    assert [code for code, _ in found] == codes
