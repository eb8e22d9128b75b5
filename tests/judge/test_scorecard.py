import json

import numpy as np
import pandas as pd
import pytest

from winnow.judge import scorecard


def numbers(
    ours: list[float], paper: list[float], bar: float = 0.02, n: int = 10, width: float = 0.004
) -> pd.DataFrame:
    """The numbers of a figure: test errors at fractions 0, 0.1, …; our interval is +-width."""
    x = np.arange(len(ours)) / 10
    ours = pd.DataFrame({"x": x, "y": ours, "low": np.array(ours) - width, "high": np.array(ours) + width, "n": 4})
    paper = pd.DataFrame({"x": x, "y": paper, "low": np.array(paper) - bar, "high": np.array(paper) + bar, "n": n})
    data = pd.concat([ours.assign(source="winnow"), paper.assign(source="paper")])
    return data.assign(series="test_error")


def test_z_has_both_standard_errors():
    point = scorecard.score("2a", numbers([0.25], [0.23], bar=0.06))[0]
    assert point["z"] == pytest.approx(0.02 / np.hypot(0.004 / 1.96, 0.06 / np.sqrt(10)))
    assert point["agrees"] is True
    assert point["inside_bar"] is True


def test_inside_the_bar_is_not_enough():
    point = scorecard.score("2a", numbers([0.25], [0.195], bar=0.06))[0]
    assert point["inside_bar"] is True
    assert point["agrees"] is False


def test_bars_of_length_0_are_not_taken_for_certainty():
    """Three runs without an error do not exclude 0.02, where ours scatter by 0.08."""
    point = scorecard.score("5a", numbers([0.02], [0.0], bar=0.0, n=3, width=0.08))[0]
    assert point["agrees"] is True
    assert scorecard.score("5a", numbers([0.3], [0.0], bar=0.0, n=3))[0]["agrees"] is False


def test_a_missing_bar_takes_the_test_sets_error():
    point = scorecard.score("2c", numbers([0.25], [0.20], bar=np.nan, width=0))[0]
    assert point["half_bar"] is None
    share = 201 / 1002
    assert point["z"] == pytest.approx(0.05 / np.sqrt(share * (1 - share) / 1000))


def test_a_point_without_a_run_that_ended_is_left_out():
    data = numbers([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    ours = data.source == "winnow"
    lost, fewer = ours & np.isclose(data.x, 0.2), ours & np.isclose(data.x, 0.1)
    data.loc[lost, ["y", "low", "high"]] = np.nan
    data.loc[fewer, "n"] = 3
    assert [(p["x"], p["ours_n"]) for p in scorecard.score("2a", data)] == [(0, 4), (pytest.approx(0.1), 3)]


def test_figures_are_summarized_in_words():
    rising = [0.1, 0.2, 0.3, 0.4]
    for ours, verdict in [
        (rising, "agrees"),
        ([y + 0.2 for y in rising], "same shape at another level"),
        ([0.8, 0.7, 0.6, 0.5], "differs"),
    ]:
        assert scorecard.summarize("2a", scorecard.score("2a", numbers(ours, rising)))["verdict"] == verdict
    few = scorecard.summarize("5a", scorecard.score("5a", numbers(rising, rising, n=3)))
    assert few["verdict"] == "agrees (3 published runs tell little)"
    assert scorecard.summarize("4", [])["verdict"] == "not run"


def test_every_published_figure_has_a_row(tmp_path):
    numbers([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).to_parquet(tmp_path / "a.parquet")
    arguments = ["--figures", "fig2a", "--data", str(tmp_path / "a.parquet")]
    scorecard.main([*arguments, "--json", str(tmp_path / "s.json"), "--markdown", str(tmp_path / "s.md")])
    card = json.loads((tmp_path / "s.json").read_text())
    assert {row["figure"]: row["verdict"] for row in card["figures"]} == {"2a": "agrees"} | dict.fromkeys(
        ["2b", "2c", "3a", "3b", "4", "5a", "5b"], "not run"
    )
    assert len(card["points"]) == 3
    assert "| 2a | agrees | 3 of 3 | test_error 1.00 |" in (tmp_path / "s.md").read_text()
