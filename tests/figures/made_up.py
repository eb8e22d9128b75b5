"""Made-up runs with known numbers, for every experiment that a figure is drawn from."""

import itertools

import pandas as pd
from scipy.special import expit

from winnow.analysis import race
from winnow.analysis.selection import Regime
from winnow.catalogue import FIGURES, IMAGES, THEORY, TWO_LAYER, known
from winnow.config.base import Settings
from winnow.images.settings import ImageSettings
from winnow.two_layer.decomposition import Tracker
from winnow.two_layer.settings import TwoLayerSettings

SEEDS = 4
FRACTIONS = (0.0, 0.5, 0.9, 0.99)
AXES = {
    "boundary": {"init_std": [0.05, 0.1]},
    "width": {"width": [50, 200]},
    "width_mild": {"width": [50, 100, 200]},
    "noise": {"sigma_n": [0.05, 0.1, 0.2]},
    "causes": {"target": ["all", "noise", "signal"]},
    "start": {"init_std": [1e-10, 1e-4, 0.1]},
    "start-orthogonal": {"init_std": [1e-10, 1e-4, 0.1]},
    "small_init": {"init_std": [0.1, 0.05]},
    "fig3a": {"method": ["bernoulli", "imp", "shuffled_imp"]},
    "fig3b": {"method": ["bernoulli", "imp"]},
    "fig3b-narrow": {"method": ["bernoulli", "imp"]},
    "fig4": {"method": ["bernoulli", "imp"]},
    "fig4-narrow": {"method": ["bernoulli", "imp"]},
    "methods": {"method": ["erk", "snip"]},
    "noisy": {"sigma": [0.0, 0.5]},
    "vgg-widths": {"width": [8, 16]},
    "sanity-lenet": {"method": ["snip", "imp"], "check": ["none", "shuffled", "inverted"]},
    "scaling-widths": {"width": [50, 100, 200]},
}
SMALL = {"sanity-small-lenet-36": [768, 768], "sanity-small-lenet-90": [189, 189]}  # hidden neurons
OF_A_PATTERN = {
    "scaling-race-*": ("scaling-race-512", "scaling-race-2048"),
    "scaling-over-*": ("scaling-over-512", "scaling-over-2048"),
    "sanity-*": ("sanity-lenet", "sanity-random-lenet", "sanity-random-wide", *SMALL),
}
# Panels whose points are made of all fractions of a seed: fitted to them, or a mean of two differences.
FITTED = {"numbers": (len(FRACTIONS),), "lenet": (4,)}


def experiments(figure: str) -> dict[str, Regime]:
    """All experiments of a figure, which draws them in this order."""
    makers = {TWO_LAYER: synthetic, IMAGES: images, THEORY: theory}
    names = [name for e in FIGURES[figure].experiments for name in OF_A_PATTERN.get(e, (e,))]
    return {name: makers[known([name])[0][1].kind](name) for name in names}


def _experiment(name: str, points: list[tuple[dict, list[dict]]], settings: Settings) -> Regime:
    """The evaluations of runs, each with its file."""
    rows = []
    for point, evaluations in points:
        folders = "/".join(f"{key}-{value}" for key, value in point.items() if key != "seed")
        run = f"results/{name}/runs/{folders}/seed-{point['seed']}.parquet"
        rows += [
            {"experiment": name, "run": run, "status": "max_steps"} | point | evaluation for evaluation in evaluations
        ]
    return Regime.of(name, pd.DataFrame(rows), settings)


def _grid(name: str, fractions: tuple[float, ...]) -> list[dict]:
    """Every point of an experiment's grid."""
    axes = AXES.get(name, {})
    return [
        dict(zip([*axes, "fraction", "seed"], values, strict=True))
        for values in itertools.product(*axes.values(), fractions, range(SEEDS))
    ]


def synthetic(name: str) -> Regime:
    """Figures 2 and 5, with a known mean: test error = fraction / 2 + seed / 1000 at the last step.

    A seed has as many positive outputs as it says.
    """
    points = []
    for point in _grid(name, (0.0, 0.5, 0.9)):
        ends = point["fraction"] / 2 + point["seed"] / 1000
        errors = {step: 0.5 - (0.5 - ends) * step / 1000 for step in (0, 10, 1000)}
        measured = {"train_error": 0.0, "train_loss": 0.1, "positive_outputs": point["seed"]}
        points.append((point, [measured | {"step": s, "test_error": e, "test_loss": 2 * e} for s, e in errors.items()]))
    return _experiment(name, points, TwoLayerSettings(kind="two_layer"))


def images(name: str, data: str = "mnist-5k", fractions: tuple[float, ...] = (0.0, 0.36, 0.9)) -> Regime:
    """Networks on images, with a known end: test error = fraction / 10 + seed / 1000 (+ sigma / 10)."""
    points = []
    for point in _grid(name, fractions[:1] if name in SMALL else fractions):
        ends = point["fraction"] / 10 + point["seed"] / 1000 + point.get("sigma", 0) / 10
        measured = {"data": data, "train_error": point["fraction"] / 20, "collapsed_layers": 0}
        measured["connected_share"] = 1 - point["fraction"] ** 4 - point["seed"] / 1000
        errors = {0: ends + 0.5, 9: ends}
        points.append((point, [measured | {"epoch": epoch, "test_error": e} for epoch, e in errors.items()]))
    return _experiment(name, points, ImageSettings(kind="images", model={"hidden": SMALL.get(name, [1024, 1024])}))


def theory_settings(name: str) -> TwoLayerSettings:
    """A small version of the theory's own model."""
    over = name.startswith(("overprune", "scaling-over"))
    return TwoLayerSettings(
        kind="two_layer",
        data={
            "distribution": "classes",
            "classes": 2 if over else 4,
            "dimension": int(name.split("-")[-1]) if name.startswith(("scaling-race", "scaling-over")) else 1024,
            "n_train": 50,
            "sigma_n": 0.03 if name.startswith("scaling-race") else 0.08,
            "noise_orthogonal": False,
            "signal": "dense" if name == "dense_signal" else "coordinate",
        },
        model={
            "width": 20 if over else 200 if name.startswith("scaling-race") else 50,
            "power": 3,
            "init_std": 0.1,
            "output_layer": "class_sums",
        },
        training={"loss": "cross_entropy", "eps": 0.001},
    )


def theory(name: str) -> Regime:
    """The theory's own experiments: measured columns are 0.1 density, but for gamma, which grows over training."""
    settings, points = theory_settings(name), []
    for point in _grid(name, (0.0,) if name == "small_init" else FRACTIONS):
        density = 1 - point["fraction"]
        measured = {column: 0.1 * density for column in Tracker.names}
        if name == "start-orthogonal":  # what is memorized goes with sigma_0
            measured |= {column: measured[column] * point["init_std"] for column in ("zeta_max", "omega_max")}
        measured["classes_missing"] = 2.0 if density < 0.6 else 0.0
        measured["test_error"] = phase_error(settings, point, density) + 0.001 * point["seed"]
        lists = {"signal_strength": [0.1, 0.2 * density], "noise_strength": [-0.1, 0.3 * density]}
        evaluations = [
            measured
            | (lists if step == 200 else dict.fromkeys(lists))
            | {"step": step, "train_loss": loss, "test_loss": loss + 0.1}
            | dict.fromkeys(("gamma_max", "gamma_least"), 1e-3 * 10 ** (step / 50))
            for step, loss in ((0, 1.4), (10, 0.1), (200, 0.009))
        ]
        points.append((point, evaluations))
    return _experiment(name, points, settings)


def phase_error(settings: TwoLayerSettings, point: dict, density: float) -> float:
    """The phase model itself, with slope 2 and constant 0.5."""
    swept = {key: f"{value:g}" for key, value in point.items() if key in ("sigma_n", "width", "init_std")}
    advantage, kept = race.predictors(settings.at(swept), density)
    chance = 1 / settings.data.classes
    return 1 - chance - (kept - chance) * float(expit(2 * (advantage - 0.5)))
