import copy
import re
from pathlib import Path

import pytest
import yaml

from winnow.config.base import Strict
from winnow.config.load import Config, load, schema
from winnow.errors import WinnowError

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "experiments": {"fig5": {"kind": "two_layer", "fractions": [0, 0.5], "seeds": 3, "axes": {"sigma_n": [0.5, 1]}}},
    "figures": ["fig5a"],
}


def changed(path: str, value: object) -> dict:
    """SMALL with the value at a dotted path replaced."""
    tree = copy.deepcopy(SMALL)
    *parents, last = path.split(".")
    node = tree
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return tree


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("config*.yaml")) + sorted(ROOT.glob("config/*.yaml")), ids=lambda p: p.name
)
def test_the_configurations_of_the_project_are_valid(path):
    load(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("experiments.fig5.fractions", [0, 1.2], r"fig5\.fractions\[1\] = 1\.2: .* less than 1"),
        ("experiments.fig5.fractions", [-0.1], r"fig5\.fractions\[0\] = -0\.1: .* greater than or equal to 0"),
        ("experiments.fig5.fractions", [1], r"fig5\.fractions\[0\] = 1: .* less than 1"),
        ("experiments.fig5.fractions", ["half"], r"fig5\.fractions\[0\] = \"half\": .* valid number"),
        ("experiments.fig5.fractions", [float("nan")], r"fig5\.fractions\[0\]"),
        ("experiments.fig5.fractions", [], r"fig5\.fractions = \[\]: .* at least 1 item"),
        ("experiments.fig5.fractions", [0.5, 0.50], r"fig5\.fractions = .*: 0\.5 is listed twice"),
        ("experiments.fig5.seeds", [1, 2, 1], r"fig5\.seeds = \[1, 2, 1\]: 1 is listed twice"),
        ("experiments.fig5.seeds", [-1], r"fig5\.seeds\[0\] = -1: .* greater than or equal to 0"),
        ("experiments.fig5.seeds", 0, r"fig5\.seeds = 0: .* greater than or equal to 1"),
        ("experiments.fig5.seeds_per_job", 0, r"fig5\.seeds_per_job = 0"),
        ("experiments.fig5.data.n_train", 0, r"fig5\.data\.n_train = 0: .* greater than or equal to 1"),
        ("experiments.fig5.data.n_trian", 5, r"fig5\.data\.n_trian = 5: unknown key; allowed: .*n_train"),
        ("experiments.fig5.training.loss", "hinge", r"fig5\.training\.loss = \"hinge\": .*'logistic' or"),
        ("experiments.fig5.pruning.method", "magic", r"fig5\.pruning\.method = \"magic\": .*'bernoulli' or"),
        ("experiments.fig5.axes", {"foo": [1]}, r"axes\.foo: no such setting; allowed: "),
        ("experiments.fig5.axes", {"sigma_n": [-1]}, r"sigma_n = \"-1\": .* greater than or equal to 0"),
        ("experiments.fig5.axes", {"method": ["../../etc"]}, r"axes\.method\[0\] = .*match pattern"),
        ("experiments.fig5.axes", {"sigma_n": [1, 1.0]}, r"1 is listed twice"),
        ("experiments", {"../x": SMALL["experiments"]["fig5"]}, r"experiments.* = \"\.\./x\": .*match pattern"),
        ("experiments", {"a b; rm": SMALL["experiments"]["fig5"]}, r"match pattern"),
        ("experiments.figures", SMALL["experiments"]["fig5"], r"figures is a folder of results/ already"),
        ("experiments", {}, r"experiments = \{\}: .* at least 1 item"),
        ("experiments", None, r"experiments = null"),
        ("figures", ["fig9"], r"figures: fig9 is unknown; allowed: fig2a"),
        ("figures", ["fig2a"], r"fig2a needs the experiment fig2a, which is not configured"),
        ("colour", "red", r"colour = \"red\": unknown key; allowed: root_seed"),
        ("root_seed", -1, r"root_seed = -1"),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(path, value, says):
    with pytest.raises(WinnowError) as error:
        load(changed(path, value))
    lines = str(error.value).splitlines()
    assert len(lines) == 1, lines
    assert re.search(says, lines[0]), lines[0]


def test_the_grid_is_spelled_canonically():
    experiment = load(SMALL).experiments["fig5"]
    assert experiment.grid == {"sigma_n": ["0.5", "1"], "fraction": ["0", "0.5"], "seed": ["0", "1", "2"]}
    assert experiment.points() == [{"sigma_n": "0.5"}, {"sigma_n": "1"}]


def test_batches_are_seed_over_seeds_per_job():
    experiment = load(changed("experiments.fig5.seeds_per_job", 2)).experiments["fig5"]
    assert experiment.batches == {"0": ["0", "1"], "1": ["2"]}
    assert load(SMALL).experiments["fig5"].batches == {"{seed}": ["{seed}"]}


def test_the_settings_of_a_run_hold_no_grid():
    settings = load(SMALL).run_settings("fig5")
    more_seeds = load(changed("experiments.fig5.seeds", 9)).run_settings("fig5")
    assert settings == more_seeds
    assert not {"fractions", "seeds", "axes", "seeds_per_job"} & set(settings.model_dump()["settings"])


def test_axes_that_only_scale_the_data_share_its_files():
    tree = changed("experiments.fig5.axes", {"sigma_n": [1, 2], "dimension": [10, 20], "width": [3]})
    assert load(tree).experiments["fig5"].data_axes == ["dimension"]


def test_the_schema_is_the_models():
    assert (ROOT / "workflow/schemas/config.schema.json").read_text() == schema(), (
        "run: python workflow schema workflow/schemas/config.schema.json"
    )


def models(model: type[Strict]) -> set[type[Strict]]:
    """A model and every model below it."""
    found, queue = set(), [model]
    while queue:
        current = queue.pop()
        if isinstance(current, type) and issubclass(current, Strict) and current not in found:
            found.add(current)
            queue += [field.annotation for field in current.model_fields.values()]
        else:
            queue += getattr(current, "__args__", ())
    return found


def test_every_key_is_described_in_the_schema_and_in_the_readme():
    readme = (ROOT / "config/README.md").read_text()
    for model in models(Config):
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key} has no description"
            assert f"`{key}`" in readme, f"config/README.md does not list {model.__name__}.{key}"


def test_both_environment_files_hold_the_same_pins():
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line and not line.startswith("#")]
    conda = yaml.safe_load((ROOT / "envs/winnow.yaml").read_text())["dependencies"]
    assert pins == next(entry["pip"] for entry in conda if isinstance(entry, dict))
    for line in lines:
        assert line.startswith("#") or ("==" in line and "#" in line), f"no exact pin or no reason: {line}"
