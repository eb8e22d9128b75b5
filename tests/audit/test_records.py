"""What a record is made of."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import files
from winnow.audit.records import CHECKOUT, content, parameters, place, read

COLUMNS = {"seed": [0, 1, 2], "error": [0.5, float("nan"), 0.25], "method": ["a", "bé", ""], "on": [True, False, True]}


def written(path, columns: dict, **options) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return content(path)


def test_the_content_hash_is_that_of_the_values(tmp_path):
    path = tmp_path / "x.parquet"
    plain = written(path, COLUMNS)
    other_bytes = path.read_bytes()
    assert written(path, dict(reversed(COLUMNS.items())), compression="zstd", row_group_size=1, version="1.0") == plain
    assert path.read_bytes() != other_bytes
    files.write_table(path, {key: COLUMNS[key] for key in ("seed", "error", "method")})
    assert content(path) == written(path, {key: COLUMNS[key] for key in ("seed", "error", "method")})


@pytest.mark.parametrize(
    "change",
    [
        {"seed": [0, 1, 3]},
        {"seed": [0.0, 1.0, 2.0]},
        {"error": [0.5, 0.25, float("nan")]},
        {"error": [0.5, None, 0.25]},
        {"method": ["ab", "é", ""]},
        {"method": ["a", "bé", None]},
        {"on": [True, True, True]},
    ],
    ids=str,
)
def test_any_other_value_or_type_is_another_content_hash(tmp_path, change):
    path = tmp_path / "x.parquet"
    assert written(path, COLUMNS | change) != written(path, COLUMNS)


def test_empty_tables_and_other_files(tmp_path):
    path = tmp_path / "x.parquet"
    assert written(path, {"a": pa.array([], pa.int64())}) != written(path, {"a": pa.array([], pa.string())})
    assert content(tmp_path / "x.npz") is None


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("results/a/../a/x.json", "results/a/x.json"),
        (CHECKOUT / "workflow/winnow/files.py", "code:workflow/winnow/files.py"),
        ("data/mnist/labels.gz", "data/mnist/labels.gz"),
        ("../labels.gz", "../labels.gz"),
        ("/elsewhere/labels.gz", "/elsewhere/labels.gz"),
    ],
)
def test_what_a_user_keeps_in_the_checkout_is_no_code(monkeypatch, path, spelled):
    monkeypatch.chdir(CHECKOUT)
    assert place(path) == spelled


def test_parameters_are_named():
    assert parameters(["fig2a", "--seeds", "0", "1", "--set", "--json", '{"a": [1]}']) == {
        "": ["fig2a"],
        "seeds": ["0", "1"],
        "set": [],
        "json": [{"a": [1]}],
    }


RECORD = {"step": "collect", "command": [], "parameters": {}, "streams": [], "device": "cpu", "requirements": "0"}
RECORD |= {"inputs": {"x": {"sha256": "0"}}, "outputs": {"results/x.json": {"sha256": "0"}}, "code": {"a.py": "0"}}
RUN = {"start": "", "end": "", "cpu": {"name": ""}, "versions": {"numpy": "2"}, "commit": None}


@pytest.mark.parametrize(
    ("record", "run"),
    [
        ({"inputs": []}, {}),
        ({"inputs": {"x": "0"}}, {}),
        ({"outputs": None}, {}),
        ({"code": {}}, {}),  # no result is made by no code
        ({}, {"versions": {}}),
        ({}, {"versions": []}),
        ({}, {"versions": {"numpy": 2}}),
        ({}, {"cpu": "AMD"}),
        ({}, {"record": "0"}),
    ],
    ids=str,
)
def test_what_is_no_record_is_none(tmp_path, monkeypatch, record, run):
    monkeypatch.chdir(tmp_path)

    def read_with(record: dict, run: dict):
        text = json.dumps(RECORD | record)
        (tmp_path / "results/provenance/x.json.json").write_text(text)
        own = RUN | {"record": hashlib.sha256(text.encode()).hexdigest()} | run
        (tmp_path / "results/provenance/x.json.run.json").write_text(json.dumps(own))
        return read("results/x.json")

    (tmp_path / "results/provenance").mkdir(parents=True)
    assert read_with({}, {})[0] == RECORD
    assert read_with(record, run) == (None, None)
