import numpy as np
import pandas as pd
import pytest

from winnow.figures import FIGURES, real


def metrics(methods=("bernoulli", "imp"), sigmas=None, data="mnist-5k", fractions=(0.0, 0.36, 0.9)) -> pd.DataFrame:
    """Evaluations with a known end: test error = fraction / 10 + seed / 1000 (+ sigma / 10)."""
    rows = [
        {"method": m, "sigma": sigma, "fraction": f, "seed": seed, "epoch": epoch, "data": data}
        | {"test_error": f / 10 + seed / 1000 + sigma / 10 + (0.5 if epoch == 0 else 0), "train_error": f / 20}
        for m in methods
        for sigma in sigmas or [0.0]
        for f in fractions
        for seed in range(4)
        for epoch in (0, 9)
    ]
    table = pd.DataFrame(rows)
    return table if sigmas else table.drop(columns="sigma")


@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if figure.module == "real"])
def test_axes_are_labelled(name):
    table = metrics(methods=("bernoulli",), sigmas=[0.0, 0.5]) if name == "noisy" else metrics()
    data, figure = getattr(real, name.replace("-", "_"))({name: table})
    for axes in figure.axes:
        assert axes.get_xlabel() == "pruned fraction"
        assert axes.get_ylabel()
    assert (data.low <= data.high).all()
    assert (data.n == 4).all()


def test_fig3a_shows_accuracies_in_percent_and_the_paper_only_over_the_whole_of_mnist():
    data, _ = real.fig3a({"fig3a": metrics()})
    ours = data[(data.series == "imp") & (data.metric == "test_accuracy")].set_index("x")
    assert ours.y[0.9] == pytest.approx(100 - 9 - 0.15)
    assert set(data.source) == {"winnow"}
    data, figure = real.fig3a({"fig3a": metrics(data="mnist")})
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == 17
    assert paper.y.iloc[0] == pytest.approx(98.2666)
    assert "random, paper (n = 3)" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize(("name", "points", "dense"), [("fig3b", 17, 93.5945), ("fig4", 10, None)])
def test_figures_of_cifar10_show_the_paper_only_over_the_whole_of_it(name, points, dense):
    part, _ = getattr(real, name)({name: metrics(data="cifar10-part")})
    assert set(part.source) == {"winnow"}
    data, _ = getattr(real, name)({name: metrics(data="cifar10")})
    paper = data[(data.source == "paper") & (data.series == "random") & (data.metric == "test_accuracy")]
    assert len(paper) == points
    assert dense is None or paper.y.iloc[0] == pytest.approx(dense)


def test_gains_are_paired_with_the_dense_network():
    data, _ = real.methods({"methods": metrics(methods=("snip", "erk"))})
    assert data.set_index(["method", "fraction"]).gain[("snip", 0.36)] == pytest.approx(-3.6)
    data, figure = real.noisy({"noisy": metrics(methods=("bernoulli",), sigmas=[0.0, 0.5])})
    assert data[np.isclose(data.x, 0.9)].y.to_list() == pytest.approx([-9, -9])
    assert data.dense.unique() == pytest.approx([99.85, 94.85])
    assert len(figure.axes[0].get_legend().get_texts()) == 2
