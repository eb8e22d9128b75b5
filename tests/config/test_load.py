import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import ValidationError

from winnow import collect
from winnow.catalogue import FIGURES, matching
from winnow.config.base import Strict
from winnow.config.keys import page
from winnow.config.load import Config, load, schema
from winnow.errors import WinnowError

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "experiments": {"toy": {"kind": "two_layer", "fractions": [0, 0.5], "seeds": 3, "axes": {"sigma_n": [0.5, 1]}}},
    "figures": [],
}
THEORY = {
    "kind": "two_layer",
    "data": {"distribution": "classes"},
    "model": {"output_layer": "class_sums", "power": 3},
    "training": {"loss": "cross_entropy", "milestones": [0.01, 0.001]},
    "fractions": [0, 0.5],
    "seeds": 3,
}


BAD = SMALL["experiments"]["toy"] | {"data": {"n_trian": 5}}


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
    load(yaml.safe_load(path.read_text()), [path])


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("experiments.toy.fractions", [0, 1.2], r"toy\.fractions\[1\] = 1\.2: .* less than 1"),
        ("experiments.toy.fractions", [-0.1], r"toy\.fractions\[0\] = -0\.1: .* greater than or equal to 0"),
        ("experiments.toy.fractions", [1], r"toy\.fractions\[0\] = 1: .* less than 1"),
        ("experiments.toy.fractions", ["half"], r"toy\.fractions\[0\] = \"half\": .* valid number"),
        ("experiments.toy.fractions", [float("nan")], r"toy\.fractions\[0\]"),
        ("experiments.toy.fractions", [], r"toy\.fractions = \[\]: .* at least 1 item"),
        ("experiments.toy.fractions", [0.5, 0.50], r"toy\.fractions = .*: 0\.5 is listed twice"),
        ("experiments.toy.seeds", [1, 2, 1], r"toy\.seeds = \[1, 2, 1\]: 1 is listed twice"),
        ("experiments.toy.seeds", [-1], r"toy\.seeds\[0\] = -1: .* greater than or equal to 0"),
        ("experiments.toy.seeds", 0, r"toy\.seeds = 0: .* greater than or equal to 1"),
        ("experiments.toy.seeds_per_job", 0, r"toy\.seeds_per_job = 0"),
        ("experiments.toy.fractions_per_job", 0, r"toy\.fractions_per_job = 0"),
        ("experiments.toy.data.n_train", 0, r"toy\.data\.n_train = 0: .* greater than or equal to 1"),
        ("experiments.toy.data.n_trian", 5, r"toy\.data\.n_trian = 5: unknown key; allowed: .*n_train"),
        ("experiments.toy.training.loss", "hinge", r"toy\.training\.loss = \"hinge\": .*'logistic' or"),
        ("experiments.toy.pruning.method", "magic", r"toy\.pruning\.method = \"magic\": .*'bernoulli'.* or '"),
        ("experiments.toy.axes", {"foo": [1]}, r"axes\.foo: no such setting; allowed: "),
        ("experiments.toy.axes", {"sigma_n": [-1]}, r"sigma_n = \"-1\": .* greater than or equal to 0"),
        ("experiments.toy.axes", {"method": ["../../etc"]}, r"axes\.method\[0\] = .*match pattern"),
        ("experiments.toy.axes", {"sigma_n": [1, 1.0]}, r"1 is listed twice"),
        ("experiments", {"../x": SMALL["experiments"]["toy"]}, r"experiments.* = \"\.\./x\": .*match pattern"),
        ("experiments", {"a b; rm": SMALL["experiments"]["toy"]}, r"match pattern"),
        *(
            ("experiments", {name: BAD}, rf"experiments\.{name}\.data\.n_trian = 5: unknown key; allowed: .*n_train")
            for name in ("images", "list", "data", "axes", "experiments")
        ),
        ("experiments.figures", SMALL["experiments"]["toy"], r"figures is a folder of results/ already"),
        ("experiments", {}, r"experiments = \{\}: .* at least 1 item"),
        ("experiments", None, r"experiments = null"),
        ("figures", ["fig9"], r"figures: fig9 is unknown; allowed: fig2a"),
        ("figures", ["fig2a"], r"fig2a needs the experiment fig2a, which is not configured"),
        ("colour", "red", r"colour = \"red\": unknown key; allowed: root_seed"),
        ("root_seed", -1, r"root_seed = -1"),
        ("experiments.toy.seeds", True, r"toy\.seeds = true: must be a number, not true or false"),
        ("experiments.toy.seeds", [0, True], r"toy\.seeds\[1\] = true: must be a number"),
        ("experiments.toy.seeds", [2**63], r"toy\.seeds\[0\] = 9223372036854775808: .* less than 92233"),
        ("experiments.toy.seeds", 10**12, r"make 4,000,000,000,000 runs; at most 1,000,000"),
        ("experiments.toy.fractions", [False], r"toy\.fractions\[0\] = false: must be a number"),
        ("experiments.toy.fractions", [1e-300], r"fraction: 0\.0+1 has 302 characters; at most 100"),
        ("experiments.toy.axes", {"sigma_n": [1e20]}, r"axes\.sigma_n\[0\] = 1e\+20: .* less than 10{20}"),
        ("experiments.toy.axes", {"width": [True]}, r"width = \"true\": .* valid integer"),
        ("experiments.toy.axes", {"noise_orthogonal": [1, True]}, r"axes\.noise_orthogonal: 1 must be spelled true"),
        ("experiments.toy.axes", {"sigma_n": ["1e-3", 0.001]}, r"axes\.sigma_n = .*: 0\.001 is listed twice"),
        ("experiments.toy.training.max_steps", 2**53 + 1, r"max_steps = 9007199254740993: .* less than or equal to"),
        ("experiments", {"a" * 101: SMALL["experiments"]["toy"]}, r"at most 100 characters"),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(path, value, says):
    with pytest.raises(WinnowError) as error:
        load(changed(path, value))
    lines = str(error.value).splitlines()
    assert len(lines) == 1, lines
    assert re.search(says, lines[0]), lines[0]


def numbers(annotation) -> bool:
    """Whether a key holds a number, or a list of them."""
    if get_origin(annotation) is None:
        return annotation in (int, float)
    return any(numbers(part) for part in get_args(annotation)[: 1 if get_origin(annotation) is Annotated else None])


def test_no_number_is_true_or_false():
    """Python and pydantic count true as 1."""
    checked = set()
    for model in models(Config):
        for key, field in model.model_fields.items():
            if numbers(field.rebuild_annotation()) and key != "axes":
                for value in (True, [True]):
                    with pytest.raises(ValidationError) as error:
                        model.model_validate({key: value})
                    assert key in {problem["loc"][0] for problem in error.value.errors()}, f"{model.__name__}.{key}"
                checked.add(key)
    assert {"root_seed", "seeds", "fractions", "eps", "momentum", "milestones", "hidden", "power"} <= checked


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("root_seed: 1\nroot_seed: 2\n", r"root_seed stands twice, in lines 1 and 2"),
        ("experiments:\n  a: {}\n  b: {}\n  'a': {}\n", r"experiments\.a stands twice, in lines 2 and 4"),
        ("x:\n- y:\n  - {z: {w: 1, w: 1}}\n", r"x\[0\]\.y\[0\]\.z\.w stands twice, in lines 3 and 3"),
        ('{\n\t"figures": [],\n\t"figures": []\n}', r"figures stands twice, in lines 2 and 3"),
    ],
)
def test_a_key_given_twice_is_one_line_with_its_places(tmp_path, text, says):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(WinnowError, match=rf"^{re.escape(str(file))}: {says}; keep one$"):
        load(SMALL, [file])


def dry_run(folder: Path, *configurations: str) -> subprocess.CompletedProcess:
    """What Snakemake plans in a folder, for configurations there; output and errors together."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    command += ["--configfile", *configurations]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_snakemake_stops_at_a_key_given_twice(tmp_path):
    """Snakemake reads the files itself; the Snakefile checks those that were given."""
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "twice.yaml").write_text("root_seed: 1\nroot_seed: 2\n")
    run = dry_run(tmp_path, "good.yaml", "twice.yaml")
    assert run.returncode == 1
    assert f"{tmp_path}/twice.yaml: root_seed stands twice, in lines 1 and 2; keep one" in run.stdout
    assert "Traceback" not in run.stdout


def test_names_that_go_on_with_an_underscore_are_other_rules(tmp_path):
    """`pics` has a stage `start` and batches; `pics_start`, `pics_start_0` and `pics_0` are experiments beside it."""
    images = {"kind": "images", "data": {"source": "digits"}, "fractions": [0.5], "seeds": 1}
    two_layer = SMALL["experiments"]["toy"]
    names = {"pics": images, "pics_start": two_layer, "pics_start_0": two_layer | {"seeds_per_job": 2}}
    tree = {"experiments": names | {"pics_0": images | {"seeds_per_job": 2}}, "figures": []}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(tree))
    run = dry_run(tmp_path, "a.yaml")
    assert run.returncode == 0, run.stdout
    assert "train_pics.start.{seed}" in run.stdout and "train_pics_start.{seed}" in run.stdout


def written(file: Path, text: str) -> Config:
    """What a configuration file is read as: by Snakemake, which reads YAML, and with the checks of its text."""
    file.write_text(text)
    return load(yaml.safe_load(text), [file])


EXPERIMENT = "root_seed: 1\nfigures: []\nexperiments: {a: {kind: two_layer, fractions: [0.5], %s}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seeds: 010", r"seeds = 010: YAML takes this for 8; write 8 or 10"),
        ("seeds: 1:20", r"seeds = 1:20: YAML takes this for 80; write 80"),
        ("seeds: [001, 008, 012]", r"seeds\[2\] = 012: YAML takes this for 10; write 10 or 12"),
        ("seeds: 0b11", r"seeds = 0b11: YAML takes this for 3; write 3"),
        ("seeds: 0x1F", r"seeds = 0x1F: YAML takes this for 31; write 31"),
        ("seeds: 1, data: {dimension: 0100}", r"data\.dimension = 0100: YAML takes this for 64; write 64 or 100"),
        ("seeds: 1, training: {learning_rate: 1:30.5}", r"_rate = 1:30\.5: YAML takes this for 90\.5; write 90\.5"),
        ("seeds: 1, on: 2", r"experiments\.a\.on: a key must be text, and to YAML its type is bool; quote it"),
        ("seeds: 1, axes: {010: [1]}", r"axes\.010: a key must be text, and to YAML its type is int; quote it"),
        ("seeds: 1, =: 2", r"experiments\.a\.=: a key must be text, and to YAML its type is value; quote it"),
        ("seeds: 0o17", r"a\.seeds = \"0o17\": .* valid integer"),
        ("seeds: 1e3", r"a\.seeds = \"1e3\": .* valid integer"),
        ("seeds: yes", r"a\.seeds = true: must be a number"),
        ("seeds: .inf", r"a\.seeds = Infinity: .* finite number"),
    ],
)
def test_a_number_that_is_another_one_to_yaml_is_one_line(tmp_path, text, says):
    with pytest.raises(WinnowError, match=says) as error:
        written(tmp_path / "a.yaml", EXPERIMENT % text)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(WinnowError, match="root_seed = 010: YAML takes this for 8"):
        written(tmp_path / "a.yaml", (EXPERIMENT % "seeds: 1").replace("root_seed: 1", "root_seed: 010"))


@pytest.mark.parametrize(("text", "seeds"), [("1_000", 1000), ("+3", 3), ("'010'", 10), ("[001, 008]", [1, 8])])
def test_a_number_that_reads_as_it_is_stays(tmp_path, text, seeds):
    assert written(tmp_path / "a.yaml", EXPERIMENT % f"seeds: {text}").experiments["a"].seeds == seeds
    one = written(tmp_path / "a.yaml", EXPERIMENT % "seeds: 1, training: {learning_rate: 1.5e-3, eps: 1e-2}")
    assert (one.experiments["a"].training.learning_rate, one.experiments["a"].training.eps) == (0.0015, 0.01)


def test_numbers_and_keys_of_another_workflow_are_its_own_matter(tmp_path):
    file = tmp_path / "theirs.yaml"
    file.write_text("samples: {1: 010, on: 1:20}\nwinnow:\n  experiments: {a: {seeds: 10}}\n")
    load(SMALL, [file])
    file.write_text("winnow:\n  experiments: {a: {seeds: 010}}\n")
    with pytest.raises(WinnowError, match=r"winnow\.experiments\.a\.seeds = 010: YAML takes this for 8"):
        load(SMALL, [file])


MERGED = """
figures: []
experiments:
  a: &a
    kind: two_layer
    model: {width: 9}
    pruning: {method: exact, target: neurons}
    training: &t {loss: logistic, reduction: sum, learning_rate: 0.01}
    axes: {sigma_n: [1, 2], power: [1]}
    fractions: [0.5]
    seeds: 1
  b: &b
    <<: *a
    %s
  c: {<<: *b, seeds: 2}
"""


@pytest.mark.parametrize(
    ("section", "lost"),
    [
        ("training: {max_steps: 20}", "loss, reduction, learning_rate"),
        ("training: {loss: logistic, learning_rate: 1e-1}", "reduction"),
        ("model: {init_std: 1}", "width"),
        ("model: {}", "width"),
    ],
)
def test_a_section_that_loses_what_was_merged_is_one_line(tmp_path, section, lost):
    """`<<` gives whole sections, and what one that stands anew leaves out would silently have its default."""
    name = section.split(":")[0]
    says = rf"experiments\.b\.{name}: stands anew in line 14, and what << gave it is lost: {lost}; write them as"
    with pytest.raises(WinnowError, match=says):
        written(tmp_path / "a.yaml", MERGED % section)


@pytest.mark.parametrize(
    "section",
    [
        "training: {<<: *t, max_steps: 20}",
        "training: {loss: cross_entropy}",  # another word: another thing
        "pruning: {method: bernoulli}",
        "axes: {width: [3]}",
        "seeds: 2",
        "data: {sigma_n: 2}",
        "training: {loss: logistic, reduction: mean, learning_rate: 0.1, max_steps: 3}",
    ],
)
def test_a_section_that_loses_nothing_or_is_another_thing_is_taken(tmp_path, section):
    written(tmp_path / "a.yaml", MERGED % section)


def test_an_anchor_outside_experiments_is_read_where_it_is_used(tmp_path):
    """Where it was first seen, nothing was asked of it."""
    file = tmp_path / "a.yaml"
    file.write_text("shared: {n: &n 010}\nexperiments:\n  a: {kind: two_layer, fractions: [0], seeds: *n}\n")
    with pytest.raises(WinnowError, match=r"experiments\.a\.seeds = 010: YAML takes this for 8"):
        load(SMALL, [file])
    file.write_text("experiments: {a: &a {<<: *a, seeds: 1}}\n")
    with pytest.raises(WinnowError, match=rf"^{file}: an anchor stands in what it names$"):
        load(SMALL, [file])


def test_a_merged_key_may_be_overridden(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n")
    load(SMALL, [file])


@pytest.mark.parametrize("seeds", [1, 3, 250_000, [4], [3, 1, 2, 9], [9, 8, 2**63 - 2, 2**63 - 1]])
def test_a_grid_of_many_seeds_is_a_short_command(seeds):
    """Linux takes at most 131,072 bytes as one argument, and a run has a thousand times as many seeds."""
    toy = load(changed("experiments.toy.seeds", seeds)).experiments["toy"]
    said = json.dumps(toy.collected)
    assert len(said) < 200
    assert collect.grid(said) == toy.grid


def test_a_command_that_no_system_takes_is_refused():
    """Before anything is trained, not after all of it."""
    tree = changed("experiments.toy", SMALL["experiments"]["toy"] | {"axes": {}, "fractions": [0.5]})
    toy = tree["experiments"]["toy"]
    toy["seeds"] = list(range(0, 40_000, 2))
    says = (
        r"^config: experiments\.toy\.seeds: .* a command of [\d,]+ characters; at most 100,000 .*, as consecutive seeds"
    )
    with pytest.raises(WinnowError, match=says):
        load(tree)
    toy |= {"seeds": 100_000, "seeds_per_job": 20_000}
    says = r"^config: experiments\.toy\.seeds_per_job: 20000 .* make a command of [\d,]+ characters; at most 1,000,000"
    with pytest.raises(WinnowError, match=says):
        load(tree)
    toy |= {"fractions": [i / 1000 for i in range(1000)], "seeds": 100, "seeds_per_job": 100, "fractions_per_job": 1000}
    with pytest.raises(WinnowError, match=says.replace("20000", "100")):
        load(tree)
    toy |= {"seeds_per_job": 5, "fractions_per_job": 1000}
    load(tree)


def test_the_grid_is_spelled_canonically():
    experiment = load(SMALL).experiments["toy"]
    assert experiment.grid == {"sigma_n": ["0.5", "1"], "fraction": ["0", "0.5"], "seed": ["0", "1", "2"]}
    assert experiment.points() == [{"sigma_n": "0.5"}, {"sigma_n": "1"}]


@pytest.mark.parametrize(
    ("axes", "data"),
    [
        ({"classes": [2, 3]}, {"distribution": "classes"}),
        ({"output_layer": ["trained", "class_sums"]}, {"distribution": "classes", "classes": 3}),
    ],
    ids=["classes", "output_layer"],
)
def test_runs_whose_tables_have_other_columns_are_refused(axes, data):
    """They would be trained to the end, and no table could hold them."""
    one = {"kind": "two_layer", "data": data, "training": {"loss": "cross_entropy"}, "fractions": [0], "seeds": 1}
    load({"experiments": {"a": one}, "figures": []})
    with pytest.raises(WinnowError, match=r"axes: runs with .* and .* have other columns; make them experiments"):
        load({"experiments": {"a": one | {"axes": axes}}, "figures": []})


def test_the_order_of_seeds_says_nothing():
    found = [load(changed("experiments.toy.seeds", seeds)).experiments["toy"] for seeds in ([2, 0, 1], 3)]
    assert found[0].grid == found[1].grid and found[0].batches == found[1].batches


def test_a_number_that_yaml_takes_for_text_is_that_number():
    tree = changed("experiments.toy.axes", yaml.safe_load("{learning_rate: [1e-3, 5e-1], width: ['07']}"))
    assert load(tree).experiments["toy"].grid["learning_rate"] == ["0.001", "0.5"]
    assert load(tree).experiments["toy"].grid["width"] == ["7"]


def test_batches_are_seed_over_seeds_per_job():
    experiment = load(changed("experiments.toy.seeds_per_job", 2)).experiments["toy"]
    assert experiment.batches == {"0": ["0", "1"], "1": ["2"]}
    assert load(SMALL).experiments["toy"].batches == {"{seed}": ["{seed}"]}


def test_parts_are_places_in_the_list_over_fractions_per_job():
    tree = changed("experiments.toy.fractions_per_job", 2)
    tree["experiments"]["toy"]["fractions"] = [0.5, 0, 0.9]
    assert load(tree).experiments["toy"].parts == {"0": ["0.5", "0"], "1": ["0.9"]}
    assert load(SMALL).experiments["toy"].parts == {"{fraction}": ["{fraction}"]}


def test_the_settings_of_a_run_hold_no_grid():
    settings = load(SMALL).run_settings("toy")
    more_seeds = load(changed("experiments.toy.seeds", 9)).run_settings("toy")
    assert settings == more_seeds
    grid = {"fractions", "seeds", "axes", "seeds_per_job", "fractions_per_job"}
    assert not grid & set(settings.model_dump()["settings"])


def paired(**changes) -> dict:
    """SMALL with a second experiment that takes the streams of the first."""
    toy = SMALL["experiments"]["toy"]
    return {"experiments": {"toy": toy, "wide": toy | {"streams": "toy"} | changes}, "figures": []}


def test_an_experiment_can_take_the_streams_of_another():
    tree = paired(model={"width": 300}, axes={"signal_norm": [2]}, fractions=[0.3], seeds=[7])
    wide, toy = map(load(tree).run_settings, ("wide", "toy"))
    assert (wide.drawn_as, toy.drawn_as) == ("toy", "toy")
    assert json.loads(wide.model_dump_json())["streams"] == "toy"
    assert set(json.loads(toy.model_dump_json())) == {"experiment", "root_seed", "settings"}  # the bytes of before
    assert load(SMALL).root_seed == yaml.safe_load((ROOT / "config.yaml").read_text())["root_seed"]


def test_streams_may_be_those_of_one_of_many_data_sets():
    toy = SMALL["experiments"]["toy"] | {"axes": {"n_train": [10, 100]}}
    tree = {"experiments": {"toy": toy, "few": toy | {"streams": "toy", "axes": {}, "data": {"n_train": 10}}}}
    load(tree | {"figures": []})
    tree["experiments"]["few"]["data"] = {"n_train": 11}
    with pytest.raises(WinnowError, match=r"few\.streams: toy has other data"):
        load(tree | {"figures": []})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"streams": "fig2a"}, "fig2a is no other experiment with streams of its own; allowed: toy"),
        ({"streams": "wide"}, "wide is no other experiment with streams of its own; allowed: toy"),
        (
            {"data": {"n_train": 99}},
            "toy has other data; pairs need the same in all keys of data but sigma_n and signal_",
        ),
        ({"data": {"n_test": 99}}, "toy has other data"),
        ({"axes": {"dimension": [400, 800]}}, "toy has other data"),
        ({"kind": "images", "axes": {}}, "toy is of kind two_layer; pairs need the same kind, images"),
    ],
)
def test_streams_that_make_no_pairs_are_refused(changes, says):
    with pytest.raises(WinnowError, match=rf"^config: experiments\.wide\.streams: {says}"):
        load(paired(**changes))


def test_streams_are_those_of_an_experiment_with_its_own():
    tree = paired()
    tree["experiments"]["wider"] = tree["experiments"]["wide"] | {"streams": "wide"}
    with pytest.raises(WinnowError, match=r"wider\.streams: wide is no other experiment .*; allowed: toy$"):
        load(tree)


def test_claims_are_judged_from_what_is_configured():
    assert load(SMALL).judged == []
    tree = changed("experiments.width_mild", THEORY | {"axes": {"width": [10, 20]}})
    tree["experiments"]["fig3a"] = {"kind": "images", "fractions": [0], "seeds": 1}
    assert load(tree).judged == ["width_mild", "fig3a"]
    assert load(tree | {"claims": False}).judged == []  # another configuration judges these runs


@pytest.mark.parametrize(
    ("name", "axis", "allowed"),
    [
        ("condition2", "width", "none"),
        ("event", "width", "none"),
        ("boundary", "width", "init_std"),
        ("scaling-race-300", "init_std", "none"),
        ("scaling-widths", "init_std", "width"),
        ("noisy", "width", "sigma"),
        ("fig5", "width", "none"),
        ("noise", "width", "sigma_n"),
        ("fig4", "width", "method"),
    ],
)
def test_a_swept_key_that_figures_and_claims_do_not_know_is_refused(name, axis, allowed):
    """They would take its runs for one, beside the key that they know as well."""
    kind = {"kind": "images", "fractions": [0], "seeds": 1} if allowed in ("method", "sigma") else THEORY
    values = {"width": 10, "method": "bernoulli"}
    known = {} if allowed == "none" else {allowed: [values.get(allowed, 0.5)]}
    load(changed(f"experiments.{name}", kind | {"axes": known}))
    says = rf"^config: experiments\.{name}\.axes: .* {axis} .*; allowed: {allowed}, or"
    for beside in ({}, known):
        with pytest.raises(WinnowError, match=says):
            load(changed(f"experiments.{name}", kind | {"axes": beside | {axis: [values.get(axis, 0.5)]}}))


def drawn(file: str) -> list[tuple[str, str, dict]]:
    """Every figure of a configuration, an experiment that it shows, and the configuration with that figure alone."""
    tree = yaml.safe_load((ROOT / file).read_text())
    return [
        (figure, name, copy.deepcopy(tree) | {"figures": [figure]})
        for figure in tree["figures"]
        for name in matching(FIGURES[figure].experiments, tree["experiments"])
    ]


@pytest.mark.parametrize("file", ["config.yaml", "config/scaling.yaml"])
def test_a_figure_whose_experiment_does_not_sweep_what_it_compares_is_refused(file):
    """Its runs would all be made before the figure failed."""
    compared = [(*one, axis) for one in drawn(file) for axis in one[2]["experiments"][one[1]].get("axes", {})]
    assert compared
    for figure, name, tree, axis in compared:
        load(tree)
        del tree["experiments"][name]["axes"]
        if axis == "method":  # runs say theirs
            load(tree)
            continue
        says = f"none; the figure {figure} compares values of {axis}; allowed: {axis} with a list of them"
        with pytest.raises(WinnowError, match=rf"^config: experiments\.{name}\.axes: {says}$"):
            load(tree)


DENSE = ("fraction", "0")
LOOKED_AT = {  # by the code of a figure, in an experiment
    "fig2c, fig2c": [DENSE, ("fraction", "0.5")],
    "dynamics, trajectories": [DENSE],
    "features, boundary": [DENSE],
    "causes, causes": [("target", "all"), ("target", "noise"), ("target", "signal")],
    "noisy, noisy": [DENSE],
}


def without(tree: dict, name: str, key: str, value: str) -> dict:
    """A configuration in which an experiment is not run at a fraction, or a value of a swept key."""
    one = tree["experiments"][name]
    place, grid = ("fractions", one) if key == "fraction" else (key, one["axes"])
    assert value in map(str, grid[place])
    grid[place] = [other for other in grid[place] if str(other) != value]
    return tree


def test_a_figure_whose_experiment_lacks_a_point_that_it_looks_for_is_refused():
    seen = set()
    for figure, name, tree in drawn("config.yaml"):
        for key, value in LOOKED_AT.get(f"{figure}, {name}", []):
            seen.add(f"{figure}, {name}")
            place = "fractions" if key == "fraction" else rf"axes\.{key}"
            says = rf"experiments\.{name}\.{place}: .*; the figure {figure} needs {value} among them"
            with pytest.raises(WinnowError, match=f"^config: {says}$"):
                load(without(copy.deepcopy(tree), name, key, value))
    assert seen == set(LOOKED_AT)
    for name in ("fig3a", "fig3b", "fig4", "fig4-narrow", "methods"):  # with imp they need it anyway
        tree = changed(f"experiments.{name}", {"kind": "images", "fractions": [0.9], "seeds": 1}) | {"figures": [name]}
        with pytest.raises(WinnowError, match=rf"{name}\.fractions: 0\.9; the figure {name} needs 0 among them$"):
            load(tree)


def test_a_figure_shows_experiments_of_its_kind_and_the_theorys_network():
    tree = changed("experiments.fig3a", SMALL["experiments"]["toy"] | {"axes": {}}) | {"figures": ["fig3a"]}
    with pytest.raises(WinnowError, match=r"fig3a\.kind: two_layer; the figure fig3a needs runs of kind images$"):
        load(tree)
    boundary = THEORY | {"axes": {"init_std": [0.1]}}
    tree = {"experiments": {"boundary": boundary}, "figures": ["lemmas"]}
    load(tree)
    tree["experiments"]["boundary"] = boundary | {"model": {}}
    with pytest.raises(
        WinnowError, match=r"boundary\.model\.output_layer: fixed; the figure lemmas needs the theory's"
    ):
        load(tree)


@pytest.mark.parametrize(
    ("name", "experiment", "says"),
    [
        (
            "sanity-lenet",
            SMALL["experiments"]["toy"] | {"axes": {}},
            "kind: two_layer; a claim about this name needs runs of kind images",
        ),
        ("overprune", {"kind": "images", "fractions": [0], "seeds": 1}, "kind: images; .* of kind two_layer"),
        (
            "event",
            THEORY | {"model": {}},
            "model.output_layer: fixed; a claim about this name needs the theory's network",
        ),
        (
            "condition2",
            THEORY | {"fractions": [0.5, 0.998]},
            "fractions: 0.5, 0.998; a claim about this name needs 0 among them",
        ),
        (
            "methods",
            {"kind": "images", "fractions": [0.9], "seeds": 1},
            "fractions: 0.9; a claim about this name needs 0 among them",
        ),
        (
            "causes",
            THEORY | {"axes": {"target": ["all"]}},
            "axes.target: all; a claim about this name needs noise, signal among them",
        ),
        (
            "noisy",
            {"kind": "images", "fractions": [0, 0.9], "seeds": 1, "pruning": {"method": "snip"}},
            "pruning.method: snip; a claim about this name needs bernoulli among them",
        ),
    ],
)
def test_an_experiment_that_is_judged_has_what_its_claims_look_for(name, experiment, says):
    """Of another kind, or without a point that a rule takes, it ended the page of claims in a traceback."""
    tree = changed(f"experiments.{name}", experiment)
    with pytest.raises(WinnowError, match=rf"^config: experiments\.{name}\.{says}"):
        load(tree)
    load(tree | {"claims": False})


@pytest.mark.parametrize(
    ("name", "training", "says"),
    [
        ("condition2", {"eps": 0.05}, "eps 0.05, .* compares runs at train loss 0.01 and 0.001; allowed: each as a"),
        ("condition2", {"eps": 0.01}, "eps 0.01, .* at train loss 0.01 and 0.001;"),  # `2-eps/10` on the rows of `2`
        ("boundary", {"eps": 0.001, "milestones": []}, r"eps 0.001, milestones \[\]; .* at train loss 0.01 and 0.001;"),
        ("scaling-race-300", {"eps": 0.0001, "milestones": [0.01]}, r"eps 0.0001, milestones \[0.01\]; .*"),
        ("overprune", {"eps": 0.05}, "eps 0.05, .* compares runs at train loss 0.01; allowed: each as a milestone"),
        ("trajectories", {"eps": 0.001}, "eps 0.001, .* compares runs after as many steps; allowed: eps null, or"),
    ],
)
def test_runs_that_end_before_they_are_compared_are_refused(name, training, says):
    """Every claim about them came out one way, or spoke of runs at another train loss."""
    tree = changed(f"experiments.{name}", THEORY | {"training": THEORY["training"] | training})
    with pytest.raises(WinnowError, match=rf"^config: experiments\.{name}\.training: {says}"):
        load(tree)
    load(tree | {"claims": False})  # then nothing compares them, for no figure is drawn
    load({"experiments": {"mine": tree["experiments"][name]}, "figures": []})


def test_runs_that_go_on_to_where_they_are_compared_are_taken():
    for name, training in (
        ("condition2", {"eps": 0.001, "milestones": [0.01]}),
        ("condition2", {"eps": 1e-6}),
        ("overprune", {"eps": 0.01, "milestones": []}),
        ("lemma4", {"eps": 0.5, "milestones": []}),  # which looks at runs before they are trained
    ):
        load(changed(f"experiments.{name}", THEORY | {"training": THEORY["training"] | training}))


@pytest.mark.parametrize("name", ["condition2", "trajectories", "overprune", "scaling-race-300", "scaling-over-300"])
def test_steps_that_are_a_time_are_of_one_size(name):
    tree = changed(f"experiments.{name}", THEORY)
    assert load(tree).judged == [name]
    tree["experiments"][name] = THEORY | {"training": THEORY["training"] | {"flat_below": 0.25}}
    with pytest.raises(WinnowError, match=rf"experiments\.{name}\.training\.flat_below: 0\.25 .*; allowed: null, or"):
        load(tree)
    for other in ("event", "mine"):  # where steps are not counted
        load({"experiments": {other: tree["experiments"][name]}, "figures": []})


def test_axes_that_only_scale_the_data_share_its_files():
    tree = changed("experiments.toy.axes", {"sigma_n": [1, 2], "dimension": [10, 20], "width": [3]})
    assert load(tree).experiments["toy"].data_axes == ["dimension"]


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


def test_the_page_of_keys_is_the_models():
    assert (ROOT / "config/KEYS.md").read_text(encoding="utf-8") == page(), "run: python workflow keys config/KEYS.md"


def test_every_key_is_described():
    for model in models(Config):
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key} has no description"
            listed = re.search(rf"^(\| |### )`{key}` ", page(), re.MULTILINE)
            assert listed, f"config/KEYS.md does not list {model.__name__}.{key}"


def choices(annotation: object) -> set[str]:
    """The words that a field may have, wherever in its type they stand."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return set(arguments)
    return set().union(*map(choices, arguments))


def test_every_choice_is_described():
    """Beside what it may be, the page says what it is: in the description of its key, or in a line of its own."""
    fields = [(key, field) for model in models(Config) for key, field in model.model_fields.items() if key != "kind"]
    allowed = {(key, choice, field.description) for key, field in fields for choice in choices(field.annotation)}
    assert {"erk", "resnet", "binary"} <= {choice for _, choice, _ in allowed}
    lines = page().splitlines()
    for key, choice, description in allowed:
        assert f"`{choice}`" in description or any(line.startswith(f"| `{choice}` | ") for line in lines), (
            f"{key} does not say what {choice} is"
        )


def test_both_environment_files_hold_the_same_pins():
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line and not line.startswith("#")]
    conda = yaml.safe_load((ROOT / "envs/winnow.yaml").read_text())["dependencies"]
    assert pins == next(entry["pip"] for entry in conda if isinstance(entry, dict))
    for line in lines:
        assert line.startswith("#") or ("==" in line and "#" in line), f"no exact pin or no reason: {line}"
