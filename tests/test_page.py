from winnow import page


def test_tables_become_tables_and_nothing_is_fetched(tmp_path):
    (tmp_path / "a.md").write_text("# A & B\n\n| x | y |\n|---|---|\n| 1 | **2** |\n\n<script>no()</script>\n")
    page.main([str(tmp_path / "a.md"), "--out", str(tmp_path / "a.html")])
    text = (tmp_path / "a.html").read_text()
    assert "<td><strong>2</strong></td>" in text
    assert "<script" not in text
    assert "http" not in text
