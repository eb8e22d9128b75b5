from dataclasses import replace

import made_up
import numpy as np
import pandas as pd
import pytest

from winnow.config.base import RunSettings
from winnow.figures import draw, style, synthetic
from winnow.files import write_json
from winnow.two_layer.settings import TwoLayerSettings


def test_means_are_those_of_the_last_step():
    data, _ = synthetic.fig2b(*made_up.experiments("fig2b").values())
    ours = data[data.source == "winnow"].set_index("x")
    assert ours.y[0.5] == pytest.approx(0.25 + 1.5 / 1000)
    assert ours.y[0.9] == pytest.approx(0.45 + 1.5 / 1000)


def test_overlay_is_the_published_curve():
    curve = synthetic.published("2a", "test_error")
    assert curve.x.tolist() == pytest.approx(np.arange(10) / 10)
    assert curve.y.tolist()[:4] == [0.024, 0.023, 0.028, 0.014]
    assert (curve.n == 10).all()


@pytest.mark.parametrize("name", ["fig2a", "fig2b"])
def test_the_papers_bars_are_told_from_our_intervals(name):
    _, figure = getattr(synthetic, name)(*made_up.experiments(name).values())
    said = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"band: 95 % interval of our mean", "bar: s.d. of the paper's runs, most likely"} <= set(said)
    caps = [line for line in figure.axes[0].lines if line.get_marker() == "_" and len(line.get_xdata()) == 10]
    assert len(caps) == len(said) - 2  # two a published curve, which has one of two labels


def test_files_are_byte_identical_when_drawn_again(tmp_path):
    pd.DataFrame(made_up.synthetic("fig2c").table.to_dict("list")).to_parquet(tmp_path / "metrics.parquet")
    run = RunSettings[TwoLayerSettings](experiment="fig2c", root_seed=0, settings=TwoLayerSettings(kind="two_layer"))
    write_json(tmp_path / "experiment.json", run.model_dump())
    inputs = ["--settings", str(tmp_path / "experiment.json"), "--metrics", str(tmp_path / "metrics.parquet")]
    outputs = []
    for turn in ("first", "second"):
        suffixes = ("svg", "pdf", "png", "data")
        paths = {suffix: tmp_path / f"{turn}.{suffix}" for suffix in suffixes}
        arguments = [part for suffix in suffixes for part in (f"--{suffix}", str(paths[suffix]))]
        draw.main(["synthetic.fig2c", *inputs, *arguments])
        outputs.append([path.read_bytes() for path in paths.values()])
    assert outputs[0] == outputs[1]
    assert all(outputs[0])


def test_style_is_readable_at_column_width():
    figure, axes = style.new_figure()
    assert figure.get_size_inches()[0] == style.COLUMN_WIDTH
    assert axes.xaxis.label.get_size() >= 7


@pytest.mark.parametrize(("figure", "metric"), [("fig5a", "test_error"), ("fig5b", "test_loss")])
def test_runs_of_outputs_of_one_sign_are_shown_one_by_one(figure, metric):
    """Seed 0 of 4 has no positive output: the curve is the mean of seeds 1 to 3, and what a legend counts."""
    data, drawing = getattr(synthetic, figure)(*made_up.experiments(figure).values())
    one_sign = data[data.series == f"{metric}, outputs of one sign"]
    curve = data[(data.series == metric) & (data.source == "winnow")].set_index("x")
    factor = 2 if metric == "test_loss" else 1
    assert (curve.n == 3).all()
    assert curve.y[0.5] == pytest.approx(factor * (0.25 + 2 / 1000))
    assert [(run.x, run.n, len(run.runs)) for run in one_sign.itertuples()] == [(x, 1, 1) for x in (0, 0.5, 0.9)]
    assert one_sign.y.tolist() == pytest.approx([factor * x / 2 for x in (0, 0.5, 0.9)])
    said = [text.get_text() for text in drawing.axes[0].get_legend().get_texts()]
    assert f"{metric.replace('_', ' ')} (n = 3)" in said
    assert any("of outputs of one sign (n = 1)" in text for text in said)
    assert drawing.axes[0].get_yscale() == ("log" if figure == "fig5b" else "linear")


def test_without_runs_of_one_sign_there_is_no_word_of_them():
    (runs,) = made_up.experiments("fig5a").values()
    data, _ = synthetic.fig5a(replace(runs, table=runs.table.assign(positive_outputs=1)))
    assert set(data.series) == {"train_error", "test_error"}
