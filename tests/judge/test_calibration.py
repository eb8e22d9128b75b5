import json

import numpy as np
import pandas as pd
import pytest

from winnow.config.base import RunSettings
from winnow.judge import calibration
from winnow.paper.published import published
from winnow.two_layer.settings import TwoLayerSettings

FRACTIONS = (0.0, 0.3, 0.5, 0.9)
SETTINGS = TwoLayerSettings(kind="two_layer")


def metrics(shift: float, steps: tuple[int, ...] = (0, 10, 100, 1000), **reading) -> pd.DataFrame:
    """Ten seeds that follow the published curves, moved by a shift, and scattering about it by 0.01."""
    rows = []
    courses = {0.0: published("2c", "test_error", "full"), 0.5: published("2c", "test_error", "sparsity 0.5")}
    for sigma_n, figure in ((0.5, "2a"), (1.0, "2b")):
        ends = published(figure, "test_error").set_index("x").y
        for fraction in FRACTIONS:
            for step in steps:
                error = ends[fraction] + shift
                if step < 1000 and sigma_n == 1 and fraction in courses:
                    error = np.interp(step, courses[fraction].x, courses[fraction].y) + shift
                point = {"sigma_n": sigma_n, "fraction": fraction, "step": step, "status": "max_steps"}
                rows += [
                    point | {"seed": seed, "test_error": error + 0.01 * (-1) ** seed, "run": f"{figure}-{seed}"}
                    for seed in range(10)
                ]
    return pd.DataFrame(rows).assign(**reading)


def ranked(*tables: pd.DataFrame) -> list[dict]:
    return calibration.readings([(SETTINGS, pd.concat(tables))])


def test_the_distance_is_in_tolerances_and_not_in_our_own_scatter():
    """2a at .9: a bar of .0835 of 10 runs; 2b at 0: the binomial error of 1,000 examples."""
    off = calibration.offsets(metrics(0.05), calibration.CURVES["2a"])
    assert off[0.9] == pytest.approx(0.05 / (0.0835 / np.sqrt(10)), rel=1e-3)
    off = calibration.offsets(metrics(0.05), calibration.CURVES["2b"])
    assert off[0.0] == pytest.approx(0.05 / np.sqrt(0.2534 * 0.7466 / 1000), rel=2e-3)
    near, far = (calibration.distances(metrics(shift)) for shift in (0.0, 0.1))
    assert (near["choosing"], near["others"]) == pytest.approx((0, 0), abs=1e-9)
    assert far["choosing"] == pytest.approx(np.sqrt(np.mean(np.square([*far_offsets("2a"), *far_offsets("2b")]))))


def far_offsets(curve: str) -> list[float]:
    off = calibration.offsets(metrics(0.1), calibration.CURVES[curve])
    return [off[fraction] for fraction in calibration.CHOOSING]


def test_the_curves_over_training_are_held_up_where_they_were_evaluated():
    assert calibration.distances(metrics(0.0))["2c, full"] < 1
    assert calibration.distances(metrics(0.0, steps=(0, 1000)))["2c, full"] is None


def test_a_run_that_diverged_counts_as_guessing():
    cut = metrics(0.0)
    lost = (cut.seed == 0) & (cut.sigma_n == 1) & (cut.fraction == 0)
    cut = cut[~lost | (cut.step < 100)].assign(status=np.where(lost, "diverged", "max_steps")[~lost | (cut.step < 100)])
    curves = calibration.CURVES
    assert calibration.errors(cut, curves["2b"]).loc[0, 0.0] == 0.5
    assert calibration.errors(cut, curves["2c, full"]).loc[0, [100, 1000]].tolist() == [0.5, 0.5]
    assert calibration.errors(cut, curves["2a"]).loc[0, 0.0] < 0.1


def test_the_nearest_reading_comes_first_and_the_page_says_what_meets_what(tmp_path):
    swept = [(0.1, "all", "mean"), (0.0, "all", "sum"), (0.02, "neurons", "mean")]
    pd.concat([metrics(s, target=t, reduction=r) for s, t, r in swept]).to_parquet(tmp_path / "m.parquet")
    run = RunSettings[TwoLayerSettings](experiment="calibration", root_seed=1, settings=SETTINGS)
    (tmp_path / "experiment.json").write_text(run.model_dump_json())
    outputs = ["--json", str(tmp_path / "c.json"), "--markdown", str(tmp_path / "c.md")]
    calibration.main(
        ["--settings", str(tmp_path / "experiment.json"), "--metrics", str(tmp_path / "m.parquet"), *outputs]
    )
    found = json.loads((tmp_path / "c.json").read_text())["readings"]
    assert [(entry["reading"]["target"], entry["reading"]["reduction"]) for entry in found] == [
        ("all", "sum"),
        ("neurons", "mean"),
        ("all", "mean"),
    ]
    page = (tmp_path / "c.md").read_text()
    assert "| weights | 2 | 1 | 1 | 1 | 1 | 1 |" in page
    assert "| neurons | 1 | 0 | 1 | 1 | 0 | 0 |" in page
    assert "| 1 | weights | loss logistic, output_layer fixed" in page


def test_an_experiment_that_sweeps_no_factor_is_one_reading():
    (entry,) = ranked(metrics(0.0))
    assert entry["settings"]["pruning"] == {"target": "all"}
    assert entry["reading"]["init_std"] == "0.01"
