"""What sets two versions of a result apart, and what another numerics class excuses."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from winnow import files
from winnow.audit.compare import NETWORKS, TOLERANCE, Allowed, allowed, difference, network, verdicts, words
from winnow.audit.records import Recorder
from winnow.audit.results import Records

EXACT = Allowed({"error": 0.1}, means=False)
MEANS = Allowed({"error": 0.1}, means=True)


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
    ("may", "error", "status", "code"),
    [
        (None, 0.0, "a", 0),
        (EXACT, 0.0, "a", 0),
        (EXACT, 0.05, "a", 3),
        (None, 0.05, "a", 1),
        (EXACT, 0.2, "a", 1),
        (EXACT, 0.0, "b", 1),
    ],
)
def test_a_tolerance_holds_in_another_class_only(tmp_path, may, error, status, code):
    """A table and a picture of one job; the picture is as good as the table, which has a tolerance of 0.1."""
    pairs = {}
    for name, content in (("x.parquet", {"error": [0.5], "status": ["a"]}), ("x.svg", "ours")):
        pairs[name] = tmp_path / "ours" / name, tmp_path / "theirs" / name
        for path in pairs[name]:
            path.parent.mkdir(exist_ok=True)
            if name == "x.svg":
                path.write_text(content)
            else:
                files.write_table(path, content)
    if code:
        files.write_table(pairs["x.parquet"][1], {"error": [0.5 + error], "status": [status]})
        pairs["x.svg"][1].write_text("theirs")
    assert {finding.code for finding in verdicts(pairs, may)} == {code}


def test_a_picture_of_the_same_numbers_may_differ_in_another_class_only(tmp_path):
    pairs = {name: (tmp_path / f"ours-{name}", tmp_path / f"theirs-{name}") for name in ("x.parquet", "x.png")}
    for path in pairs["x.parquet"]:
        files.write_table(path, {"error": [0.5]})
    for path in pairs["x.png"]:
        path.write_text(path.name)
    assert [f.code for f in verdicts(pairs, EXACT)] == [0, 3]
    assert [f.code for f in verdicts(pairs, None)] == [0, 1]
    assert [f.code for f in verdicts({"x.png": pairs["x.png"]}, EXACT)] == [1]  # nothing vouches for it
    pairs["x.png"][1].unlink()
    assert [f.code for f in verdicts(pairs, EXACT)] == [0, 1]


@pytest.mark.parametrize(("value", "columns"), [(97.10001, set()), (97.101, {"y"}), (float("nan"), {"y"})])
def test_last_bits_may_differ_without_having_been_measured(tmp_path, value, columns):
    for name, y in (("a", 97.1), ("b", value)):
        files.write_table(tmp_path / f"{name}.parquet", {"y": [y]})
    assert set(difference(tmp_path / "a.parquet", tmp_path / "b.parquet", EXACT)) == columns
    assert set(difference(tmp_path / "a.parquet", tmp_path / "b.parquet")) == {"y"}


ROW = {"id": "1", "x": 0.5, "y": 0.7, "low": 0.6, "high": 0.8, "p_value": 0.01}


@pytest.mark.parametrize(
    ("change", "may", "columns"),
    [
        ({"y": 0.85, "low": 0.75, "p_value": 0.9}, MEANS, set()),
        ({"y": 0.85, "p_value": 0.9}, EXACT, {"y", "p_value"}),
        ({"y": 0.95}, MEANS, {"y"}),
        ({"x": 0.6}, MEANS, {"x"}),
        ({"low": 0.8}, MEANS, set()),  # the wider of the two intervals counts
        ({"low": None, "high": None}, MEANS, {"low", "high"}),
    ],
)
@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_mean_may_move_within_its_interval_where_training_moved(tmp_path, kind, change, may, columns):
    paths = [tmp_path / f"{i}.{kind}" for i in range(2)]
    for path, row in zip(paths, (ROW, ROW | change), strict=True):
        if kind == "json":
            files.write_json(path, {"claims": [row]})
        else:
            files.write_table(path, {key: [float("nan") if v is None else v] for key, v in row.items()})
    assert set(difference(*paths, may)) == columns


def test_words_are_what_no_class_may_change(tmp_path):
    pages = [
        {"verdict": "holds (p = 0.01)", "share": 0.5, "agrees": True},
        {"verdict": "holds (p = 1e+02)", "share": 0.6, "agrees": True},
        {"verdict": "fails", "share": 0.5, "agrees": True},
        {"verdict": "holds (p = 0.01)", "share": 0.5, "agrees": False},
    ]
    for i, page in enumerate(pages):
        files.write_json(tmp_path / f"{i}.json", page)
        (tmp_path / f"{i}.md").write_text(f"share {page['share']}: **{page['verdict']}**, {page['agrees']}")
    for kind in ("json", "md"):
        same, moved, *others = (words(tmp_path / f"{i}.{kind}") for i in range(4))
        assert same == moved
        assert same not in others
    masks = [[True, False, False], [False, True, False], [True, True, False]]
    for i, mask in enumerate(masks):
        save_file({"0.weight": np.array(mask)}, tmp_path / f"{i}.safetensors")
    same, moved, other = (words(tmp_path / f"{i}.safetensors") for i in range(3))
    assert same == moved
    assert same != other


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with the settings of three experiments and a table that is made from two of them."""
    monkeypatch.chdir(tmp_path)
    for name, kind, architecture in (
        ("a", "two_layer", "shared"),
        ("b", "images", "mlp"),
        ("c", "images", "resnet"),
    ):
        settings = {"kind": kind, "model": {"architecture": architecture}}
        files.write_json(f"results/{name}/experiment.json", {"settings": settings})
    files.WRITTEN.clear()
    settings = ["results/a/experiment.json", "results/b/experiment.json"]
    recorder = Recorder("claims", ["--settings", *settings, "--json", "results/claims.json"])
    for path in settings:
        files.used(path)
    files.write_json("results/claims.json", [1])
    recorder.finish()
    return Records()


def test_the_least_exact_network_behind_a_result_decides(results):
    assert network("results/a/runs/fraction-0/seed-0.parquet", results) == "two_layer"
    assert network("results/c/summary.parquet", results) == "convolutional"
    assert network("results/claims.json", results) == "mlp"
    assert network("results/core/libwinnow.so", results) == NETWORKS[0]


def test_the_two_layer_network_has_no_tolerance_beyond_the_last_bits(results):
    """Its tables were once allowed what those of images are, because one step collects both."""
    measured = json.loads(TOLERANCE.read_text())["networks"]
    assert set(measured) <= set(NETWORKS)
    train = allowed("results/a/metrics.parquet", {"step": "train"}, results)
    assert not train.means
    for step in measured["two_layer"]:
        found = allowed("results/a/metrics.parquet", {"step": step}, results)
        assert all(far < 1e-6 for far in found.columns.values()), step
    least = allowed("results/c/metrics.parquet", {"step": "collect"}, results)
    assert least.means
    assert least.columns["test_error"] > 0
    assert least.columns.items() >= allowed("results/a/metrics.parquet", {"step": "collect"}, results).columns.items()
