import pytest

from winnow import page
from winnow.errors import WinnowError


def test_tables_become_tables_and_nothing_is_fetched(tmp_path):
    (tmp_path / "a.md").write_text("# A & B\n\n| x | y |\n|---|---|\n| 1 | **2** |\n\n<script>no()</script>\n")
    page.main([str(tmp_path / "a.md"), "--out", str(tmp_path / "a.html")])
    text = (tmp_path / "a.html").read_text()
    assert "<td><strong>2</strong></td>" in text
    assert "<script" not in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read as text"), (b"\xff", "cannot be read as text"), (b"\n", "is empty")]
)
def test_a_text_that_is_missing_broken_or_empty_is_named(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.md").write_bytes(content)
    with pytest.raises(WinnowError, match=rf"a\.md: {says}.*; delete it and run again$"):
        page.main([str(tmp_path / "a.md"), "--out", str(tmp_path / "a.html")])
    assert not (tmp_path / "a.html").exists()
