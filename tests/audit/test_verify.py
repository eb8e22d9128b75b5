import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import files
from winnow.audit import rederive
from winnow.audit.cli import show
from winnow.audit.records import record_path, sha256
from winnow.audit.rederive import compare, difference, words
from winnow.audit.results import Finding
from winnow.audit.trace import trace

SOURCES = sorted((Path(__file__).resolve().parents[2] / "workflow/winnow").rglob("*.py"))
READS = r"pq\.read_table\(|read_parquet\(|read_csv\(|np\.load\(|safe_open\(|load_library\("


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


@pytest.mark.parametrize(("named", "broken"), [("seed-0", []), ("seed-1", ["results/a/runs/seed-1.parquet"])])
def test_a_point_whose_run_is_not_in_the_chain_is_broken(tmp_path, monkeypatch, named, broken):
    monkeypatch.chdir(tmp_path)
    run, drawn = "results/a/runs/seed-0.parquet", "results/figures/a.data.parquet"
    files.write_table(run, {"seed": [0]})
    Path("results/figures").mkdir(parents=True)
    points = [{"y": 1.0, "runs": [f"results/a/runs/{named}.parquet"]}, {"y": 2.0, "runs": None}]
    pq.write_table(pa.Table.from_pylist(points), drawn)
    for path, inputs in ((run, []), (drawn, [run])):
        record = {"step": "s", "parameters": {}, "streams": [], "code": {}, "outputs": {path: {"sha256": sha256(path)}}}
        files.write_json(record_path(path), record | {"inputs": {name: {"sha256": sha256(name)} for name in inputs}})
        run_record = record_path(path).removesuffix(".json") + ".run.json"
        files.write_json(run_record, {"record": sha256(record_path(path))})
    found = trace(drawn)
    assert found["broken"] == broken
    assert [point["y"] for point in found["points"]] == [1.0]  # the paper's points are made of no runs


def test_the_worst_finding_decides(capsys):
    findings = [Finding(code, "x", "[red]y") for code in (0, 3, 5, 1, 4)]
    for n in range(1, 6):
        assert show(findings[:n], as_json=True) == findings[n - 1].code
        assert json.loads(capsys.readouterr().out)["code"] == findings[n - 1].code
    assert show([], as_json=False) == 0
    assert show(findings, as_json=False) == 4
    assert "[red]y" in capsys.readouterr().out


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_what_a_step_reads_is_noted(file):
    """A file that is read without `used(path)` is missing in the records, unless the command line names it.

    A checkpoint is no input: it is gone when the run has finished, and changes no byte of it.
    """
    if file.name in ("records.py", "rederive.py", "trace.py", "golden.py", "checkpoint.py"):
        return
    for line in file.read_text().splitlines():
        assert not re.search(READS, line) or "used(" in line, f"wrap the path in used(): {line.strip()}"


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
