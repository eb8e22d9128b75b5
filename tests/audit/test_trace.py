"""Where a figure comes from: every point down to its runs."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import files, inputs
from winnow.audit.recorder import Recorder
from winnow.audit.trace import trace

PICTURE, DRAWN = "results/figures/a.svg", "results/figures/a.data.parquet"


def draw(folder: Path, monkeypatch, named: str) -> None:
    """A figure and its numbers, made of a run, with their records; one of its points names a run."""
    monkeypatch.chdir(folder)
    run = "results/a/runs/seed-0.parquet"
    files.write_table(run, {"seed": [0]})
    Path("results/figures").mkdir(parents=True)
    points = [{"y": 1.0, "runs": [f"results/a/runs/{named}.parquet"]}, {"y": 2.0, "runs": None}]
    pq.write_table(pa.Table.from_pylist(points), DRAWN)
    Path(PICTURE).write_text("")
    for paths, read in (([run], []), ([PICTURE, DRAWN], [run])):
        monkeypatch.setattr(inputs, "READ", {})
        monkeypatch.setattr(files, "WRITTEN", paths)
        for name in read:
            inputs.used(name)
        Recorder("s", []).finish()


@pytest.mark.parametrize(("named", "broken"), [("seed-0", []), ("seed-1", ["results/a/runs/seed-1.parquet"])])
def test_a_point_whose_run_is_not_in_the_chain_is_broken(tmp_path, monkeypatch, named, broken):
    draw(tmp_path, monkeypatch, named)
    found = trace(PICTURE)
    assert found["broken"] == broken
    assert [point["y"] for point in found["points"]] == [1.0]  # the paper's points are made of no runs


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:200])])
def test_numbers_of_a_figure_that_are_gone_or_truncated_are_a_broken_link(tmp_path, monkeypatch, damage):
    draw(tmp_path, monkeypatch, "seed-0")
    damage(Path(DRAWN))
    for traced in (PICTURE, DRAWN):
        found = trace(traced)
        assert (found["broken"], found["points"]) == ([DRAWN], [])
