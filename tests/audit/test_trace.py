"""Where a figure comes from: every point down to its runs."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import files, inputs
from winnow.audit.recorder import Recorder
from winnow.audit.trace import trace


@pytest.mark.parametrize(("named", "broken"), [("seed-0", []), ("seed-1", ["results/a/runs/seed-1.parquet"])])
def test_a_point_whose_run_is_not_in_the_chain_is_broken(tmp_path, monkeypatch, named, broken):
    monkeypatch.chdir(tmp_path)
    run, drawn = "results/a/runs/seed-0.parquet", "results/figures/a.data.parquet"
    files.write_table(run, {"seed": [0]})
    Path("results/figures").mkdir(parents=True)
    points = [{"y": 1.0, "runs": [f"results/a/runs/{named}.parquet"]}, {"y": 2.0, "runs": None}]
    pq.write_table(pa.Table.from_pylist(points), drawn)
    for path, read in ((run, []), (drawn, [run])):
        monkeypatch.setattr(inputs, "READ", {})
        monkeypatch.setattr(files, "WRITTEN", [path])
        for name in read:
            inputs.used(name)
        Recorder("s", []).finish()
    found = trace(drawn)
    assert found["broken"] == broken
    assert [point["y"] for point in found["points"]] == [1.0]  # the paper's points are made of no runs
