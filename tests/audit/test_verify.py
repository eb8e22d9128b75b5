import pytest

from winnow import files
from winnow.audit import rederive
from winnow.audit.records import record_path
from winnow.audit.rederive import compare, difference, words


def test_the_distance_of_tables_is_by_column(tmp_path):
    a = {"seed": [0, 1], "error": [0.5, float("nan")], "status": ["converged", "diverged"]}
    b = {"seed": [0, 2], "error": [0.25, float("nan")], "status": ["converged", "max_steps"]}
    for name, columns in (("a", a), ("b", b), ("c", {"seed": [0, 1]})):
        files.write_table(tmp_path / f"{name}.parquet", columns)
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    assert difference(paths[0], paths[0]) == {}
    assert difference(*paths[:2]) == {"seed": 1, "error": 0.25, "status": float("inf")}
    assert difference(paths[0], paths[2]) == {"shape": float("inf")}


@pytest.mark.parametrize(
    ("same_class", "error", "status", "codes"),
    [
        (True, 0.0, "a", {0}),
        (False, 0.0, "a", {0}),
        (False, 0.05, "a", {3}),
        (True, 0.05, "a", {1}),
        (False, 0.2, "a", {1}),
        (False, 0.0, "b", {1}),
    ],
)
def test_a_tolerance_holds_in_another_class_only(tmp_path, monkeypatch, same_class, error, status, codes):
    """A table and a picture of one job; the tolerance of its column `error` is 0.1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rederive, "TOLERANCE", tmp_path / "tolerance.json")
    files.write_json("tolerance.json", {"steps": {"draw": {"error": 0.1}}})
    table, picture = "results/x.parquet", "results/x.svg"
    files.write_table(table, {"error": [0.5], "status": ["a"]})
    record = {"step": "draw", "numerics": {"torch": "1"}, "outputs": {table: {"sha256": "1"}, picture: {"sha256": "2"}}}
    files.write_table(f"again/{table}", {"error": [0.5 + error], "status": [status]})
    changed = {"sha256": "3"} if error or status != "a" else None
    outputs = {table: changed or {"sha256": "1"}, picture: changed or {"sha256": "2"}}
    numerics = {"torch": "1" if same_class else "2"}
    files.write_json(f"again/{record_path(table)}", {"numerics": numerics, "outputs": outputs})
    assert {finding.code for finding in compare(record, tmp_path / "again")} == codes


def test_verdicts_are_the_words_of_a_file(tmp_path):
    pages = [
        {"verdict": "holds (p = 0.01)", "share": 0.5},
        {"verdict": "holds (p = 0.02)", "share": 0.6},
        {"verdict": "fails", "share": 0.5},
    ]
    for i, page in enumerate(pages):
        files.write_json(tmp_path / f"{i}.json", page)
    same, moved, other = (words(tmp_path / f"{i}.json") for i in range(3))
    assert same == moved
    assert same != other
