"""The theory's figures, drawn from made-up runs with known numbers."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from winnow.figures import FIGURES, phase, regimes, style
from winnow.paper import formulas
from winnow.two_layer.decomposition import Tracker
from winnow.two_layer.settings import TwoLayerSettings

AXES = {
    "boundary": {"init_std": [0.05, 0.1]},
    "width": {"width": [50, 200]},
    "noise": {"sigma_n": [0.05, 0.1, 0.2]},
    "causes": {"target": ["all", "noise", "signal"]},
    "small_init": {"init_std": [0.1, 0.05]},
}
FRACTIONS = (0.0, 0.5, 0.9, 0.99)
SEEDS = 4
MODULES = {"regimes": regimes, "phase": phase}
NAMES = [name for name, figure in FIGURES.items() if figure.module in MODULES]


def settings(name: str) -> TwoLayerSettings:
    return TwoLayerSettings(
        kind="two_layer",
        data={
            "distribution": "classes",
            "classes": 2 if name == "overprune" else 4,
            "dimension": 1024,
            "n_train": 50,
            "sigma_n": 0.08,
            "noise_orthogonal": False,
            "signal": "dense" if name == "dense_signal" else "coordinate",
        },
        model={"width": 20 if name == "overprune" else 50, "power": 3, "init_std": 0.1, "output_layer": "class_sums"},
        training={"loss": "cross_entropy", "eps": 0.001},
    )


def metrics(name: str) -> pd.DataFrame:
    """Runs of three evaluations; every measured column is 0.1 density, but for what a figure takes a logarithm of."""
    axes, found = AXES.get(name, {}), settings(name)
    rows = []
    fractions = (0.0,) if name == "small_init" else FRACTIONS
    for values in itertools.product(*axes.values(), fractions, range(SEEDS)):
        point = dict(zip([*axes, "fraction", "seed"], values, strict=True))
        density = 1 - point["fraction"]
        measured = {column: 0.1 * density for column in Tracker.names}
        measured["classes_missing"] = 2.0 if density < 0.6 else 0.0
        lists = {"signal_strength": [0.1, 0.2 * density], "noise_strength": [-0.1, 0.3 * density]}
        for step, loss in ((0, 1.4), (10, 0.1), (200, 0.009)):
            rows.append(
                point
                | measured
                | (lists if step == 200 else dict.fromkeys(lists))
                | {"step": step, "train_loss": loss, "test_loss": loss + 0.1, "gamma_max": 1e-3 * 10 ** (step / 50)}
                | {"test_error": accuracy_error(found, point, density) + 0.001 * point["seed"], "train_error": 0.0}
            )
    table = pd.DataFrame(rows)
    table.attrs["settings"] = found
    return table


def accuracy_error(found: TwoLayerSettings, point: dict, density: float) -> float:
    """The phase model itself, with slope 2 and constant 0.5."""
    point = {key: f"{value:g}" for key, value in point.items() if key in ("sigma_n", "width", "init_std")}
    race, kept = phase._predictors(found.at(point), density)
    chance = 1 / found.data.classes
    return 1 - chance - (kept - chance) * float(expit(2 * (race - 0.5)))


@pytest.fixture(scope="module", params=NAMES)
def drawn(request):
    figure = FIGURES[request.param]
    tables = {experiment: metrics(experiment) for experiment in figure.experiments}
    return request.param, getattr(MODULES[figure.module], request.param)(tables)


def test_axes_are_labelled(drawn):
    _, (_, figure) = drawn
    for axes in figure.axes:
        assert axes.get_title(loc="left") or axes.texts or axes.get_legend() or axes.get_ylabel()
    assert all(axes.get_ylabel() for axes in figure.axes[:1])
    assert any(axes.get_legend() for axes in figure.axes)


def test_every_number_has_its_interval_and_its_seeds(drawn):
    name, (data, _) = drawn
    assert len(data)
    if name in ("phase", "features"):
        return
    assert {"x", "y", "low", "high", "n", "series"} <= set(data.columns)
    assert (data.low <= data.y + 1e-12).all()
    assert (data.y <= data.high + 1e-12).all()
    assert (data.n == SEEDS).all()


def test_features_pool_all_neurons_of_all_seeds():
    data, _ = regimes.features({"boundary": metrics("boundary")})
    assert set(data.series) == {"dense", "mild", "over"}
    assert (data.neurons == 2 * SEEDS).all()
    shares = data.groupby(["strength", "series"]).share.sum()
    assert shares.to_numpy() == pytest.approx(1)


def test_the_phase_fit_recovers_the_constants_it_was_made_with():
    data, _ = phase.phase({name: metrics(name) for name in FIGURES["phase"].experiments})
    assert data.slope.iloc[0] == pytest.approx(2, abs=0.05)
    assert data.constant.iloc[0] == pytest.approx(0.5, abs=0.05)
    assert data.constant_low.iloc[0] <= data.constant.iloc[0] <= data.constant_high.iloc[0]
    assert data.held_out_error.iloc[0] < 0.01 < data.constant_error.iloc[0]


def test_the_width_exponent_is_that_of_the_runs():
    table = metrics("width")
    table["gamma_max"] = table.width**-0.4
    data, figure = regimes.decomposition(
        {name: metrics(name) for name in ("condition2", "boundary", "overprune")} | {"width": table}
    )
    labels = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert sum("exponent -0.40" in label for label in labels) >= 1
    assert data[data.panel == "width"].y.max() == pytest.approx(50**-0.4)


def test_the_predicted_boundary_is_where_the_race_is_even():
    found = settings("condition2")
    density = phase._boundary(found.at({"sigma_n": "0.1"}), 0.0)
    size = (4, 50, 50, 1024, 1.0, 0.1)
    assert formulas.race_from_maxima(*size, density, 3) == pytest.approx(0, abs=0.1)
    assert phase._boundary(found.at({"sigma_n": "0.001"}), 0.0) == 2.0


def test_seeds_and_chance_are_drawn(drawn):
    name, (_, figure) = drawn
    if name == "causes":
        levels = [line.get_ydata() for axes in figure.axes for line in axes.lines]
        assert sum(len(set(y)) == 1 and math.isclose(y[0], 0.75) for y in levels) == 2
    assert np.isfinite(figure.get_size_inches()).all()
    style.plt.close(figure)
