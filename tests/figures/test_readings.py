import made_up
import pytest

from winnow.figures import FIGURES, readings
from winnow.paper.published import published


def test_points_are_the_ends_of_2a_and_2b_and_the_published_ones():
    tables = {name: made_up.synthetic(name) for name in FIGURES["readings"].experiments}
    for table in tables.values():
        table.loc[table.sigma_n == 1.0, "test_error"] += 0.01
    data, figure = readings.readings(tables)
    ours, paper = data[data.source == "winnow"], data[data.source == "paper"].iloc[0]
    assert ours.series.value_counts().to_dict() == {"weights": 4, "neurons": 2}
    assert ours.x.tolist() == pytest.approx([0.45 + 1.5 / 1000] * 6)
    assert ours.y.tolist() == pytest.approx([0.46 + 1.5 / 1000] * 6)
    assert not ours.dense_meets.any()
    bars = [bar for found in figure.axes[0].containers for bar in found.lines[2]]
    ends = {tuple(segment[:, axis].round(6)) for bar in bars for segment in bar.get_segments() for axis in (0, 1)}
    for point in ours.itertuples():
        assert {(round(point.low, 6), round(point.high, 6)), (round(point.x_low, 6), round(point.x_high, 6))} <= ends
    ends = [published(name, "test_error").y.iloc[-1] for name in ("2a", "2b")]
    assert [paper.x, paper.y] == ends
    assert paper.low == pytest.approx(paper.y - 1.96 * 0.0614 / 10**0.5, abs=1e-3)
    assert "published" in " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
