import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from winnow.audit.records import CHECKOUT
from winnow.catalogue import FIGURES
from winnow.config.load import load
from winnow.errors import WinnowError
from winnow.judge import scorecard


def numbers(ours: list[float], paper: list[float], bar: float = 0.02, n: int = 10, sd: float = 0.004) -> pd.DataFrame:
    """The numbers of a figure: test errors at fractions 0, 0.1, …, ours of 4 seeds with a standard deviation."""
    x = np.arange(len(ours)) / 10
    # Our interval is nonsense: z must not come from it.
    ours = pd.DataFrame(
        {"x": x, "y": ours, "low": np.array(ours) - 9, "high": np.array(ours) + 9, "sd": sd, "n": 4}
    ).assign(se=sd / 2)
    paper = pd.DataFrame(
        {"x": x, "y": paper, "bar_low": np.array(paper) - bar, "bar_high": np.array(paper) + bar, "n": n}
    )
    data = pd.concat([ours.assign(source="winnow"), paper.assign(source="paper")])
    return data.assign(series="test_error")


def test_z_has_both_standard_errors_and_ours_is_that_of_the_deviation():
    point = scorecard.score("2a", numbers([0.25], [0.23], bar=0.06))[0]
    assert point["z"] == pytest.approx(0.02 / np.hypot(0.004 / 2, 0.06 / np.sqrt(10)))
    assert point["agrees"] is True
    assert point["inside_bar"] is True


def test_inside_the_bar_is_not_enough():
    point = scorecard.score("2a", numbers([0.25], [0.195], bar=0.06))[0]
    assert point["inside_bar"] is True
    assert point["agrees"] is False


def test_bars_of_length_0_are_not_taken_for_certainty():
    """Three runs without an error do not exclude 0.02, where ours scatter by 0.08."""
    point = scorecard.score("5a", numbers([0.02], [0.0], bar=0.0, n=3, sd=0.08))[0]
    assert point["agrees"] is True
    assert scorecard.score("5a", numbers([0.3], [0.0], bar=0.0, n=3))[0]["agrees"] is False


def test_a_missing_bar_takes_the_test_sets_error():
    point = scorecard.score("2c", numbers([0.25], [0.20], bar=np.nan, sd=0))[0]
    assert point["half_bar"] is None
    share = 201 / 1002
    assert point["z"] == pytest.approx(0.05 / np.sqrt(share * (1 - share) / 1000))


@pytest.mark.parametrize("size", [0.001, 0.04])
def test_the_bars_decide_however_smooth_the_published_curve_is(size):
    """Fractions that share their seeds make a smooth curve of large errors; its roughness is shown."""
    x = np.arange(10) / 10
    curve = 0.25 + 0.05 * x**2 + size * np.array([1, -1, -1, 1, 1, -1, 1, -1, -1, 1])
    points = scorecard.score("2b", numbers(list(curve + 0.01), list(curve), bar=0.04))
    assert all(point["error_of_roughness"] == pytest.approx(1.3 * size, rel=0.3) for point in points)
    assert [point["z"] for point in points] == pytest.approx(
        [0.01 / np.hypot(0.002, point["error_of_bars"]) for point in points]
    )
    assert all(point["error_of_bars"] > 0.01 and point["agrees"] for point in points)


def test_figure_5_says_how_likely_three_runs_miss_a_seed_of_one_sign():
    rising = [0.1, 0.2, 0.3, 0.4]
    for figure, said in (("5a", True), ("2a", False)):
        points = scorecard.score(figure, numbers(rising, rising, n=3))
        page = scorecard.markdown([scorecard.summarize(figure, points) | {"differs": []}], points)
        assert ("three published runs miss such a seed with probability 0.67." in page) is said


def test_runs_of_outputs_of_one_sign_are_held_up_to_nothing():
    rising = [0.1, 0.2, 0.3, 0.4]
    data = numbers(rising, rising)
    lost = data[data.source == "winnow"].assign(y=0.5, series="test_error, outputs of one sign")
    assert scorecard.score("5a", pd.concat([data, lost])) == scorecard.score("5a", data)


def test_what_was_read_off_and_a_training_curve_have_no_roughness_below_it():
    x = np.arange(10) / 10
    assert scorecard.roughness(x, 0.25 + x, "test_error") == scorecard.RESOLUTION
    assert np.isnan(scorecard.roughness(x[:7], x[:7], "test_error"))
    assert np.isnan(scorecard.roughness(100 * x, x, "test_error"))  # steps of one training curve


def test_a_series_that_never_varies_is_counted_apart():
    points = scorecard.score("2a", numbers([0.0] * 4, [0.0] * 4))
    points += scorecard.score("2a", numbers([0.1, 0.2, 0.3, 0.9], [0.1, 0.2, 0.3, 0.4]).assign(series="train_error"))
    found = scorecard.summarize("2a", points)
    assert (found["points"], found["agree"]) == (4, 3)
    assert found["curves"]["test_error"]["constant"] is True
    assert found["curves"]["test_error"]["agree"] == 4
    only = scorecard.summarize("2a", scorecard.score("2a", numbers([0.0] * 4, [0.0] * 4)))
    assert (only["verdict"], only["points"]) == ("nothing that varies", 0)


def test_that_all_points_lie_on_one_side_is_said_and_not_tested():
    """A sign test took ten points that share their seeds for ten draws, p = .002."""
    paper = np.linspace(0.1, 0.4, 10)
    found = scorecard.summarize("5b", scorecard.score("5b", numbers(list(paper + 0.001), list(paper), bar=0.05)))
    curve = found["curves"]["test_error"]
    assert (curve["above"], curve["below"], curve["one_side"]) == (10, 0, True)
    assert found["verdict"] == "agrees, a curve on one side"
    sides = 0.001 * np.array([1, -1] * 5)
    found = scorecard.summarize("5b", scorecard.score("5b", numbers(list(paper + sides), list(paper), bar=0.05)))
    assert found["verdict"] == "agrees"
    assert not found["curves"]["test_error"]["one_side"]


def test_a_point_without_a_run_that_ended_is_left_out():
    data = numbers([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    ours = data.source == "winnow"
    lost, fewer = ours & np.isclose(data.x, 0.2), ours & np.isclose(data.x, 0.1)
    data.loc[lost, ["y", "low", "high", "sd", "se"]] = np.nan
    data.loc[fewer, "n"] = 3
    assert [(p["x"], p["ours_n"]) for p in scorecard.score("2a", data)] == [(0, 4), (pytest.approx(0.1), 3)]


def test_a_point_of_one_run_is_shown_and_not_judged(tmp_path):
    """Nothing is known of our scatter: without it the same curve would agree, or differ, with certainty."""
    paper = [0.1, 0.2, 0.3, 0.4]
    data = numbers(paper, paper, sd=np.nan).assign(
        low=np.nan, high=np.nan, n=lambda t: np.where(t.source == "winnow", 1, t.n)
    )
    points = scorecard.score("2a", data)
    assert [(point["ours"], point["ours_n"], point["z"], point["agrees"]) for point in points] == [
        (value, 1, None, None) for value in paper
    ]
    found = scorecard.summarize("2a", points)
    assert (found["verdict"], found["points"], found["agree"], found["curves"]) == ("n = 1, not judged", 0, 0, {})
    assert "| 2a | test_error | 0.1 | 0.2000 (1) | 0.2000 ± 0.02 (10) | 0.013 | n = 1, not judged |" in (
        scorecard.markdown([found | {"differs": []}], points)
    )
    two = data.assign(se=np.where(data.x == 0, np.nan, 0.002), n=np.where(data.x == 0, 1, 4))
    found = scorecard.summarize("2a", scorecard.score("2a", two))
    assert (found["points"], found["agree"]) == (3, 3)


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
    assert scorecard.summarize("4", None)["verdict"] == "not run"
    assert scorecard.summarize("4", [])["verdict"] == "nothing to compare"  # drawn over other images than the paper's


def test_every_published_figure_has_a_row(tmp_path):
    numbers([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).to_parquet(tmp_path / "a.parquet")
    settings = read_settings("fig2a")
    settings["model"]["width"] = 300
    (tmp_path / "e.json").write_text(json.dumps({"settings": settings}))
    arguments = ["--figures", "fig2a", "--data", str(tmp_path / "a.parquet"), "--settings", str(tmp_path / "e.json")]
    scorecard.main([*arguments, "--json", str(tmp_path / "s.json"), "--markdown", str(tmp_path / "s.md")])
    card = json.loads((tmp_path / "s.json").read_text())
    assert {row["figure"]: row["verdict"] for row in card["figures"]} == {"2a": "agrees"} | dict.fromkeys(
        ["2b", "2c", "3a", "3b", "4", "5a", "5b"], "not run"
    )
    assert len(card["points"]) == 3
    assert {row["figure"]: row["differs"] for row in card["figures"] if row["differs"]} == {
        "2a": ["width 300 (paper: 150)"]
    }
    said = "Figure 2a: **not the paper's settings**: width 300 (paper: 150)."
    assert said in (tmp_path / "s.md").read_text().splitlines()
    assert "| 2a | agrees | 3 of 3 | test_error | 3 of 3 | 1.00 | 0, 0 |" in (tmp_path / "s.md").read_text()
    lines = [line for line in (tmp_path / "s.md").read_text().splitlines() if line.startswith("|")]
    heads = [i for i, line in enumerate(lines) if line.startswith("|---")]
    assert [{line.count("|") for line in part} for part in (lines[: heads[1] - 1], lines[heads[1] - 1 :])] == [{8}, {8}]


@pytest.mark.parametrize("broken", ["a.parquet", "e.json"])
def test_a_truncated_file_is_named_and_nothing_is_written(tmp_path, monkeypatch, broken):
    monkeypatch.chdir(tmp_path)
    numbers([0.1, 0.2], [0.1, 0.2]).to_parquet("a.parquet")
    Path("e.json").write_text(json.dumps({"settings": read_settings("fig2a")}))
    Path(broken).write_bytes(Path(broken).read_bytes()[:100])
    arguments = ["--figures", "fig2a", "--data", "a.parquet", "--settings", "e.json"]
    with pytest.raises(WinnowError, match=rf"^{broken}: cannot be read as .*; delete it and run again$"):
        scorecard.main([*arguments, "--json", "s.json", "--markdown", "s.md"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "e.json"]


def test_of_a_narrower_network_the_gains_are_compared_and_of_any_other_the_levels():
    """Levels of a narrower network must differ; gains would count the points of any other figure twice."""
    both = pd.concat([numbers([90, 89], [95, 94]).assign(metric=f"test_{what}") for what in ("accuracy", "gain")])
    assert set(scorecard.compared(both, narrow=True).metric) == {"test_gain"}
    assert set(scorecard.compared(both, narrow=False).metric) == {"test_accuracy"}
    assert len(scorecard.compared(numbers([0.1], [0.1]), narrow=False)) == 2


def test_a_narrow_figure_has_a_row_only_where_it_was_drawn(tmp_path):
    data = numbers([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]).assign(series="random", metric="test_gain")
    data.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "e.json").write_text(json.dumps({"settings": read_settings("fig4-narrow")}))
    arguments = [
        "--figures",
        "fig4-narrow",
        "--data",
        str(tmp_path / "a.parquet"),
        "--settings",
        str(tmp_path / "e.json"),
    ]
    scorecard.main([*arguments, "--json", str(tmp_path / "s.json"), "--markdown", str(tmp_path / "s.md")])
    rows = {row["figure"]: row for row in json.loads((tmp_path / "s.json").read_text())["figures"]}
    assert "3b-narrow" not in rows
    assert (rows["4-narrow"]["points"], rows["4-narrow"]["agree"]) == (3, 3)
    assert "width 16 (paper: 128)" in rows["4-narrow"]["differs"]


def read_settings(figure: str) -> dict:
    """The settings of a figure's experiment in a configuration, as experiment.json holds them."""
    name = FIGURES[figure].experiments[0]
    for file in ("config.yaml", "config/paper.yaml", "config/cifar10-resnet.yaml"):
        found = load(yaml.safe_load((CHECKOUT / file).read_text())).experiments
        if name in found:
            return {
                section: getattr(found[name], section).model_dump(mode="json") for section in found[name].sections()
            }
    raise KeyError(name)


@pytest.mark.parametrize("figure", [name for name, figure in FIGURES.items() if figure.published and not figure.narrow])
def test_the_committed_configurations_have_the_papers_settings(figure):
    """Every stated setting is one of the experiment's; one that is changed is told."""
    number, settings = figure.removeprefix("fig"), read_settings(figure)
    assert not [
        said
        for said in scorecard.differences(number, settings)
        if not said.startswith(("eps", "epochs", "source mnist-5k"))
    ]
    settings["training"]["learning_rate"] = 7
    assert [said for said in scorecard.differences(number, settings) if said.startswith("learning_rate 7 (paper: 0.")]


def test_fractions_that_were_not_run_are_no_points():
    """Ours at 0, 0.3 and 0.5; 0.1, 0.2 and 0.4 had a value, an interval and an n of their own."""
    data = numbers([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    data = data[(data.source == "paper") | np.isclose(data.x.to_numpy()[:, None], (0, 0.3, 0.5)).any(axis=1)]
    points = scorecard.score("2a", data)
    assert [round(point["x"], 9) for point in points] == [0, 0.3, 0.5]
    assert scorecard.summarize("2a", points)["points"] == 3


def test_steps_at_which_ours_were_not_evaluated_are_not_compared():
    paper = [0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    data = numbers(paper, paper).assign(x=lambda table: 1000 * table.x, series="pruned", metric="test_error")
    data = data[(data.source == "paper") | data.x.isin([0, 200, 400])]
    points = scorecard.score("2c", data)
    assert [point["x"] for point in points] == [0, 200, 400]
    found = scorecard.summarize("2c", points)
    assert (found["points"], found["agree"]) == (3, 3)
    page = scorecard.markdown([found | {"differs": []}], points)
    assert "| 2c | pruned, test_error | 200 |" in page and "| 100 |" not in page


def test_a_published_gain_was_read_off_twice():
    """Its error was taken for that of a share, a hundredth of an accuracy's."""
    data = numbers([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0], bar=np.nan, sd=0).assign(series="random", metric="test_gain")
    assert [point["error_of_bars"] for point in scorecard.score("4-narrow", data)] == [
        pytest.approx(0.0707, abs=1e-4)
    ] * 3


def test_other_images_than_the_papers_are_told_and_not_their_place():
    settings = read_settings("fig3a")
    assert "source mnist-5k (paper: mnist)" in scorecard.differences("3a", settings)
    settings["data"]["source"] = "mnist:data/mnist"
    assert not [said for said in scorecard.differences("3a", settings) if said.startswith("source")]
