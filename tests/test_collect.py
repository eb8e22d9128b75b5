import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import collect
from winnow.config.base import RunSettings
from winnow.errors import WinnowError
from winnow.files import write_json, write_table
from winnow.two_layer.settings import TwoLayerSettings

GRID = {"sigma_n": ["0.5", "1"], "fraction": ["0", "0.9"], "seed": ["0", "4"]}


def write_run(path: str, fraction: float, seed: int, sigma_n: float, status: str = "max_steps", **other: str) -> None:
    n = 3
    constants = {
        "experiment": "a",
        "method": "bernoulli",
        "fraction": fraction,
        "seed": seed,
        "sigma_n": sigma_n,
    } | other
    columns = {key: [value] * n for key, value in constants.items()}
    write_table(path, columns | {"step": [0, 1, 2], "train_loss": [0.7, 0.5, 0.1 * seed], "status": [status] * n})


def without_value(path: Path, column: str) -> None:
    table = pq.read_table(path)
    nulls = pa.nulls(len(table), table.schema.field(column).type)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, nulls), path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = TwoLayerSettings(kind="two_layer", model={"width": 6}, training={"milestones": [0.5]})
    write_json("experiment.json", RunSettings(experiment="a", root_seed=1, settings=settings).model_dump(mode="json"))
    for path, point in collect.runs("a", GRID):
        write_run(path, float(point["fraction"]), int(point["seed"]), float(point["sigma_n"]))
    return tmp_path


def run() -> None:
    arguments = ["--experiment", "a", "--settings", "experiment.json", "--grid", json.dumps(GRID)]
    collect.main([*arguments, "--metrics", "m.parquet", "--summary", "s.parquet"])


def test_tables_hold_every_run_in_the_order_of_the_grid(folder, monkeypatch):
    monkeypatch.setattr(collect, "FILES_AT_ONCE", 3)
    write_run("results/a/runs/sigma_n-7/fraction-0/seed-0.parquet", 0.0, 0, 7.0)  # not in the grid
    run()
    summary = pq.read_table("s.parquet").to_pydict()
    assert pq.read_table("m.parquet").num_rows == 3 * 8
    assert summary["step"] == [2] * 8
    keys = list(zip(summary["sigma_n"], summary["fraction"], summary["seed"], strict=True))
    assert summary["run"] == [path for path, _ in collect.runs("a", GRID)]
    assert keys == [(sigma, f, s) for sigma in (0.5, 1) for f in (0, 0.9) for s in (0, 4)]


def test_a_summary_says_the_settings_and_metrics_do_not(folder):
    """Fixed ones, once and for every row; a swept one stays that of its run, and what is null is no column."""
    run()
    summary, metrics = pq.read_table("s.parquet"), pq.read_table("m.parquet")
    assert summary["width"].to_pylist() == [6.0] * 8
    assert summary["sigma_n"].to_pylist() == [0.5] * 4 + [1.0] * 4
    assert summary["noise_orthogonal"].to_pylist() == ["true"] * 8
    assert summary["milestones"].to_pylist() == [[0.5]] * 8
    keys = {key for section in TwoLayerSettings.sections().values() for key in section.model_fields}
    assert keys - set(summary.column_names) == {"output_scale", "flat_below", "eps"}
    assert keys & set(metrics.column_names) == {"method", "sigma_n"}
    assert len(set(summary.column_names)) == summary.num_columns


def test_seeds_are_said_as_ranges():
    said = {"sigma_n": ["0.5"], "fraction": ["0"], "seed": ["0-2", "7", "5-6", "9223372036854775807"]}
    seeds = ["0", "1", "2", "7", "5", "6", "9223372036854775807"]
    assert collect.grid(json.dumps(said)) == said | {"seed": seeds}


def test_diverged_runs_are_counted_not_dropped(folder, capsys):
    write_run("results/a/runs/sigma_n-1/fraction-0/seed-0.parquet", 0.0, 0, 1.0, status="diverged")
    run()
    assert capsys.readouterr().err == "warning: a: 8 runs: 1 diverged, 7 max_steps\n"
    assert pq.read_table("s.parquet")["status"].to_pylist().count("diverged") == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: pq.write_table(pq.read_table(path)[:0], path), "holds no evaluation"),
        (lambda path: write_run(str(path), 0.9, 0, 0.5), "column fraction is not 0 throughout"),
        (lambda path: write_run(str(path), 0.0, 4, 0.5), "column seed is not 0 throughout"),
        (lambda path: write_run(str(path), 0.0, 0, 1.0), "column sigma_n is not 0.5 throughout"),
        (lambda path: write_run(str(path), 0.0, 0, 0.5, experiment="b"), "column experiment is not a throughout"),
        (lambda path: without_value(path, "sigma_n"), "column sigma_n is not 0.5 throughout"),
        (
            lambda path: pq.write_table(pq.read_table(path).drop_columns("step"), path),
            "columns are not those of results/a/",
        ),
    ],
    ids=[
        "missing",
        "truncated",
        "no rows",
        "another fraction",
        "another seed",
        "another sigma_n",
        "another experiment",
        "a value that is missing",
        "other columns",
    ],
)
def test_a_wrong_file_is_named_and_nothing_is_written(folder, damage, says):
    damage(folder / "results/a/runs/sigma_n-0.5/fraction-0/seed-0.parquet")
    with pytest.raises(WinnowError, match=rf"fraction-0/seed-0\.parquet.*{says}"):
        run()
    assert not list(folder.glob("*.parquet")) + list(folder.glob(".*.tmp"))


def test_broken_settings_are_named_and_nothing_is_written(folder):
    settings = folder / "experiment.json"
    settings.write_text(settings.read_text()[:-20])
    with pytest.raises(WinnowError, match=r"^experiment\.json: cannot be read as JSON .*delete it and run again$"):
        run()
    assert not list(folder.glob("*.parquet"))


@pytest.mark.parametrize(
    ("key", "value", "spelled"),
    [("sigma_n", 1.0, "1"), ("init_std", 1e-05, "0.00001"), ("noise_orthogonal", "true", "true"), ("width", 6.0, "6")],
)
def test_a_swept_value_is_that_of_the_path_however_a_table_holds_it(tmp_path, key, value, spelled):
    write_table(tmp_path / "x.parquet", {key: [value]})
    assert collect.read_run(str(tmp_path / "x.parquet"), {key: spelled}).num_rows == 1
