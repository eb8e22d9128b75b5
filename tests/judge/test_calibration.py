import json

import numpy as np
import pandas as pd

from winnow.config.base import RunSettings
from winnow.judge import calibration
from winnow.paper.published import published
from winnow.two_layer.settings import TwoLayerSettings


def metrics(shift: float, **reading) -> pd.DataFrame:
    """Ten seeds that follow the published curves, moved by a shift."""
    rng, rows = np.random.default_rng(0), []
    for sigma_n, figure in ((0.5, "2a"), (1.0, "2b")):
        ends = published(figure, "test_error").set_index("x").y
        course = published("2c", "test_error", "full")
        for fraction in (0.0, 0.9):
            for seed in range(10):
                noise = 0.01 * rng.standard_normal()
                for step in (0, 10, 100, 1000):
                    last = ends[fraction] if sigma_n == 0.5 or fraction else np.interp(step, course.x, course.y)
                    error = last + shift + noise
                    rows.append(
                        {"sigma_n": sigma_n, "fraction": fraction, "seed": seed, "step": step, "test_error": error}
                    )
    return pd.DataFrame(rows).assign(**reading)


def test_the_nearest_reading_comes_first_and_is_reported_on_unseen_seeds(tmp_path):
    tables = [metrics(shift, init_std=0.01, reduction=r) for shift, r in ((0.1, "mean"), (0.0, "sum"))]
    pd.concat(tables).to_parquet(tmp_path / "m.parquet")
    run = RunSettings[TwoLayerSettings](
        experiment="calibration", root_seed=1, settings=TwoLayerSettings(kind="two_layer")
    )
    (tmp_path / "experiment.json").write_text(run.model_dump_json())
    outputs = ["--json", str(tmp_path / "c.json"), "--markdown", str(tmp_path / "c.md")]
    calibration.main(
        ["--settings", str(tmp_path / "experiment.json"), "--metrics", str(tmp_path / "m.parquet"), *outputs]
    )
    found = json.loads((tmp_path / "c.json").read_text())["readings"]
    assert [entry["reading"]["reduction"] for entry in found] == ["sum", "mean"]
    assert found[0]["reading"]["noise_orthogonal"] == "true"
    assert all(value < 2 for value in found[0]["reported"].values())
    assert all(value > 3 for value in found[1]["reported"].values())
    assert found[0]["chosen_on"] != found[0]["reported"]
    assert "| 1 | noise_orthogonal true" in (tmp_path / "c.md").read_text()


def test_a_diverged_run_counts_as_guessing():
    whole = metrics(0.0)
    cut = whole[(whole.seed != 0) | (whole.step < 100) | (whole.sigma_n == 0.5)]
    assert calibration.z_values(cut, "2c").iloc[-1] > calibration.z_values(whole, "2c").iloc[-1]
