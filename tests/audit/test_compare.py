"""What sets two versions of a result apart."""

import hashlib
import json

import pytest

from winnow import files
from winnow.audit.compare import difference, differs, verdict
from winnow.audit.recorder import Recorder
from winnow.audit.records import CPU
from winnow.audit.rederive import compare


def test_the_distance_of_tables_is_by_column(tmp_path):
    a = {"seed": [0, 1], "error": [0.5, float("nan")], "status": ["converged", "diverged"]}
    b = {"seed": [0, 2], "error": [0.25, float("nan")], "status": ["converged", "max_steps"]}
    for name, columns in (("a", a), ("b", b), ("c", {"seed": [0, 1]})):
        files.write_table(tmp_path / f"{name}.parquet", columns)
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    assert difference(paths[0], paths[0]) == {}
    assert difference(*paths[:2]) == {"seed": 1, "error": 0.25, "status": float("inf")}
    assert difference(paths[0], paths[2]) == {"shape": float("inf")}


def test_the_distance_of_json_files_is_by_key(tmp_path):
    a = {"claims": [{"id": "1", "estimate": 0.5}, {"id": "2", "estimate": None}], "classes": {"runs": 3}}
    b = {"claims": [{"id": "1", "estimate": 0.75}, {"id": "2", "estimate": 0.1}], "classes": {"runs": 5}}
    for name, value in (("a", a), ("b", b), ("c", a | {"more": 1})):
        files.write_json(tmp_path / f"{name}.json", value)
    paths = [tmp_path / f"{name}.json" for name in "abc"]
    assert difference(paths[0], paths[0]) == {}
    assert difference(*paths[:2]) == {"estimate": float("inf"), "runs": 2}
    assert difference(paths[0], paths[2]) == {"shape": float("inf")}


@pytest.mark.parametrize(
    ("ours", "theirs", "code", "what"),
    [
        ([0.5], [0.5], 0, "identical"),
        ([0.5], [0.5 + 2**-50], 1, "differs: error by 8.88e-16"),
        ([0.5], [0.5, 0.5], 1, "differs: shape by inf"),
        ([0.5], b"PAR1", 4, "cannot be read: "),
        ([0.5], None, 1, "is written no more"),
    ],
)
def test_bytes_decide(tmp_path, ours, theirs, code, what):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, value in zip(paths, (ours, theirs), strict=True):
        if isinstance(value, bytes):
            path.write_bytes(value)
        elif value:
            files.write_table(path, {"error": value})
    found = verdict("x", *paths, code=1)
    assert (found.code, found.what[: len(what)]) == (code, what)


def test_words_in_a_list_are_values_too(tmp_path):
    """What a claim's hypotheses break is a list: without it two verdicts of other regimes were identical contents."""
    for name, item in (("a", "m >= log d"), ("b", "eta <= mu^-2")):
        files.write_json(tmp_path / f"{name}.json", {"claims": [{"id": "1", "broken": [item]}]})
    found = verdict("x", tmp_path / "a.json", tmp_path / "b.json", code=1)
    assert (found.code, found.what) == (1, "differs: broken by inf")


def test_what_is_written_no_more_is_said_where_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/old.json").write_text("{}")
    known = {"sha256": hashlib.sha256(b"{}").hexdigest()}
    record = {"step": "train", "device": CPU, "outputs": {"results/old.json": known}}
    (found,) = compare(record, tmp_path / "again")
    assert (found.code, found.what) == (1, "is written no more")


def test_of_a_picture_it_is_said_that_it_differs(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.svg").write_text(name)
    assert verdict("x", tmp_path / "a.svg", tmp_path / "b.svg", code=1).what == "differs"


def test_of_a_gpu_nothing_is_said():
    assert differs(CPU, CPU) == 1
    assert differs(CPU, "NVIDIA H100") == differs("NVIDIA H100") == 6


@pytest.mark.parametrize(("device", "code"), [(CPU, 1), ("NVIDIA H100", 6)])
def test_what_a_gpu_made_is_no_drift_if_it_is_made_otherwise_again(tmp_path, monkeypatch, device, code):
    """The same step twice, in two folders, with other numbers."""
    records = []
    for number, folder in enumerate(("first", "again")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        files.WRITTEN.clear()
        recorder = Recorder("train", ["--json", "results/claims.json"])
        files.write_json("results/claims.json", {"estimate": number})
        recorder.finish()
        records.append(json.loads((tmp_path / folder / "results/provenance/claims.json.json").read_text()))
    monkeypatch.chdir(tmp_path / "first")
    (found,) = compare(records[0] | {"device": device}, tmp_path / "again")
    assert (found.code, found.what) == (code, "differs: estimate by 1")
