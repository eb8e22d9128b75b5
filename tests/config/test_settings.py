import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.config import settings
from winnow.config.base import RunSettings, canonical, read
from winnow.config.messages import validated
from winnow.errors import WinnowError
from winnow.images.settings import ImageSettings
from winnow.two_layer.settings import TwoLayerSettings


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.5"),
        ("0.50", "0.50"),
        (400.0, "400"),
        (1e-3, "0.001"),
        (True, "true"),
    ],
)
def test_canonical_spelling(value, spelled):
    assert canonical(value) == spelled


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_canonical_spelling_loses_nothing(value):
    spelled = canonical(value)
    assert float(spelled) == value
    assert "e" not in spelled


def test_settings_keys_are_unique_over_the_sections():
    keys = [key for section in TwoLayerSettings.sections().values() for key in section.model_fields]
    assert sorted(keys) == sorted(set(keys))


def test_a_point_overrides_the_swept_key_alone():
    base = TwoLayerSettings(kind="two_layer")
    moved = base.at({"sigma_n": "0.25", "width": "7", "noise_orthogonal": "false"})
    assert (moved.data.sigma_n, moved.model.width, moved.data.noise_orthogonal) == (0.25, 7, False)
    assert moved.training == base.training


def test_a_point_with_an_unknown_key_is_refused():
    with pytest.raises(WinnowError, match=r"axes\.depth: no such setting; allowed: .*width"):
        TwoLayerSettings(kind="two_layer").at({"depth": "3"})


@pytest.mark.parametrize("kind", [TwoLayerSettings, ImageSettings])
def test_what_takes_numbers_is_swept_in_numbers(kind):
    """Also where it may be null: as text 10 would stand before 2, and no table could be asked for values."""
    taken = {}
    for name, section in kind.sections().items():
        for key in section.model_fields:
            try:
                validated(section, {key: 0.25}, name)
                taken[key] = True
            except WinnowError as error:  # an integer is a number, too
                taken[key] = "fractional part" in str(error)
    assert {key: kind.axis_is_number(key) for key in taken} == taken
    assert taken["eps"] and taken["width"] and not taken["method"]


@pytest.mark.parametrize("key", ["data.sigma_n", "data.signal_norm", "model.init_std", "model.output_scale"])
def test_scales_are_numbers_that_float32_holds(key):
    """Weights of 1e-60 were 0, noise of 1e300 infinite, and the run was a result."""
    section, name = key.split(".")
    for value in (1e300, *([] if name == "sigma_n" else [1e-60])):
        with pytest.raises(WinnowError, match=rf"{section}\.{name} = .* (less|greater) than or equal to"):
            validated(TwoLayerSettings, {"kind": "two_layer", section: {name: value}}, "x")


def test_sections_must_agree():
    with pytest.raises(WinnowError, match=r"training\.loss"):
        validated(TwoLayerSettings, {"kind": "two_layer", "data": {"distribution": "classes"}}, "x")
    with pytest.raises(WinnowError, match="dimension: must be at least"):
        tree = {"kind": "two_layer", "data": {"distribution": "classes", "classes": 5, "dimension": 4}}
        validated(TwoLayerSettings, tree, "x")
    with pytest.raises(WinnowError, match=r"pruning\.target: must be all or neurons unless data\.signal is coordinate"):
        spread = {"distribution": "classes", "classes": 2, "noise_orthogonal": False, "signal": "dense"}
        tree = {"kind": "two_layer", "data": spread, "pruning": {"target": "noise"}}
        validated(TwoLayerSettings, tree | {"training": {"loss": "cross_entropy"}}, "x")


@pytest.mark.parametrize(
    ("output_layer", "power", "possible"),
    [
        ("class_sums", 2, False),
        ("class_sums", 3, True),
        ("class_sums", 4, True),
        ("class_sums", 5, False),
        ("class_sums", 6, False),
        ("trained", 3, False),
    ],
)
def test_longer_steps_need_outputs_that_are_flat_near_0_and_that_float32_can_hold(output_layer, power, possible):
    tree = {
        "kind": "two_layer",
        "data": {"distribution": "classes"},
        "model": {"output_layer": output_layer, "power": power},
        "training": {"loss": "cross_entropy", "flat_below": 0.2},
    }
    if possible:
        assert validated(TwoLayerSettings, tree, "x").training.flat_below == 0.2
        return
    with pytest.raises(WinnowError, match=r"training\.flat_below: needs .* class_sums and power 3 or 4"):
        validated(TwoLayerSettings, tree, "x")


@pytest.mark.parametrize(("power", "init_std", "possible"), [(3, 1e-15, True), (3, 1e-17, False), (4, 1e-12, False)])
def test_longer_steps_need_gradients_that_float32_holds(power, init_std, possible):
    """Below that they are 0, and training would stand still to its last step."""
    tree = {
        "kind": "two_layer",
        "data": {"distribution": "classes"},
        "model": {"output_layer": "class_sums", "power": power, "init_std": init_std},
        "training": {"loss": "cross_entropy", "flat_below": 0.2},
    }
    if not possible:
        with pytest.raises(WinnowError, match=r"training\.flat_below: needs model\.init_std\^\(power - 1\) .* 1e-32"):
            validated(TwoLayerSettings, tree, "x")
        tree["training"].pop("flat_below")
    assert validated(TwoLayerSettings, tree, "x").model.init_std == init_std


def test_the_file_is_the_settings(tmp_path):
    run = RunSettings[TwoLayerSettings](experiment="a", root_seed=1, settings=TwoLayerSettings(kind="two_layer"))
    settings.main(["--json", run.model_dump_json(), "--out", str(tmp_path / "experiment.json")])
    assert read(tmp_path / "experiment.json", TwoLayerSettings) == run


@pytest.mark.parametrize("content", ["", "{", json.dumps({"experiment": "a"}), "[]"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "experiment.json"
    path.write_text(content)
    with pytest.raises(WinnowError, match=str(path)):
        read(path, TwoLayerSettings)
