"""When a result that is not the golden one is drift, and when it is another machine's rounding."""

import pytest

from winnow.audit import golden
from winnow.audit.compare import Allowed

MAY = Allowed({"loss": 1e-8}, means=False)
MEANS = Allowed({"loss": 1e-8}, means=True)
COLUMN = {"columns": {"loss": ["0123", 0.5]}}
INTERVAL = {"y": ["01", 0.5], "low": ["02", 0.4], "high": ["03", 0.6], "p_better": ["04", 0.01]}
MOVED = {"y": ["11", 0.6], "low": ["12", 0.5], "high": ["13", 0.7], "p_better": ["14", 0.9]}
TEXT = {"sha256": "aa", "words": "ww"}


@pytest.mark.parametrize(
    ("old", "new", "may", "codes"),
    [
        (COLUMN, {"columns": {"loss": ["4567", 0.5 + 1e-7]}}, MAY, [3]),
        (COLUMN, {"columns": {"loss": ["4567", 0.5 + 1e-5]}}, MAY, [1]),
        (COLUMN, {"columns": {"error": ["4567", 0.5]}}, MAY, [1, 1]),
        (TEXT, {"sha256": "bb", "words": "ww"}, MAY, [3]),
        (TEXT | COLUMN, {"sha256": "bb", "words": "ww", "columns": {"loss": ["4567", 0.5 + 1e-7]}}, MAY, [3]),
        (TEXT | COLUMN, {"sha256": "bb", "words": "ww", "columns": {"loss": ["4567", 0.5 + 1e-5]}}, MAY, [1]),
        (TEXT, {"sha256": "bb", "words": "ww"}, None, [1]),
        (TEXT, {"sha256": "bb", "words": "vv"}, MAY, [1]),
        ({"sha256": "aa"}, {"sha256": "bb"}, MAY, [1]),
        ({"sha256": "aa"}, TEXT, None, []),
        ({"columns": {"loss": ["0123", 0.5]}}, {"columns": {"loss": ["4567", 0.5]}}, MAY, [3]),
        ({"columns": {"fraction": ["0123", 0.5]}}, {"columns": {"fraction": ["4567", 0.5]}}, MAY, [1]),
        ({"columns": INTERVAL}, {"columns": MOVED}, MEANS, [3, 3, 3, 3]),
        ({"columns": INTERVAL}, {"columns": MOVED}, MAY, [1, 1, 1, 1]),
        ({"columns": INTERVAL}, {"columns": MOVED | {"y": ["21", 0.71]}}, MEANS, [3, 3, 3, 1]),
    ],
)
def test_numbers_may_move_in_another_class_and_verdicts_never(old, new, may, codes):
    assert [code for code, _ in golden._drift(old, new, may)] == codes
