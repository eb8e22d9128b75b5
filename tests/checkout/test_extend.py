"""docs/EXTEND.md: its first two recipes are done as they stand there, and what it names is there."""

import re
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from project import KEPT, ROOT, TINY

PAGE = (ROOT / "docs/EXTEND.md").read_text()
TESTS = (
    "pyproject.toml",
    "tests/conftest.py",
    "tests/debian.py",
    "tests/processor.py",
    "tests/config",
    "tests/two_layer/test_pruning.py",
    "tests/images",
)
METHODS = {"method": ["bernoulli", "leading"]}
IMAGES = {
    "kind": "images",
    "data": {"source": "digits", "n_test": 100},
    "training": {"epochs": 1},
    "axes": METHODS,
    "fractions": [0.5],
    "seeds": 1,
}
CONFIG = {
    "experiments": {
        "theory": TINY | {"axes": METHODS},
        "images": IMAGES | {"model": {"hidden": [8]}},
        "network": IMAGES | {"model": {"architecture": "shallow", "width": 4}},
    },
    "figures": [],
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory, library):
    """A copy of the tree with `leading` and `shallow`, as the recipes add them; the core is the one of all tests."""
    tree = tmp_path_factory.mktemp("extended")
    for name in (*KEPT, *TESTS):
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    two_layer, images = re.findall(r"```python\n(def leading.*?)```", PAGE, re.DOTALL)
    package = "workflow/winnow"
    edit(tree, f"{package}/two_layer/pruning.py", "METHODS = {", f'{two_layer}\n\nMETHODS = {{"leading": leading, ')
    registry = "METHODS: dict[str, Callable[[Problem], Tensors]] = {"
    added = f'{images}\n\n{registry}"leading": _at_random(leading), '
    edit(tree, f"{package}/images/pruning.py", registry, added)
    edit(tree, f"{package}/images/methods.py", "METHODS = {", 'METHODS = {"leading": Method("leading", "the first"), ')
    edit(tree, f"{package}/figures/style.py", 'MARKERS = "', 'MARKERS = "H')
    network, layers = re.findall(r"```python\n(def _?shallow.*?)```", PAGE, re.DOTALL)
    registry = "ARCHITECTURES = {"
    edit(tree, f"{package}/images/networks.py", registry, f'{network}\n\n{registry}"shallow": shallow, ')
    edit(tree, f"{package}/images/memory.py", "LAYERS = {", f'{layers}\n\nLAYERS = {{"shallow": _shallow, ')
    edit(tree, f"{package}/images/settings.py", 'architecture: Literal["mlp"', 'architecture: Literal["mlp", "shallow"')
    edit(tree, "tests/images/test_memory.py", "MODELS = [", 'MODELS = [{"architecture": "shallow", "width": 3}, ')
    edit(tree, f"{package}/images/settings.py", r"`mlp`: fully connected layers;", r"\g<0> `shallow`: one convolution;")
    theory = f"{package}/two_layer/settings.py"
    edit(tree, theory, 'method: Literal["bernoulli"', 'method: Literal["bernoulli", "leading"')
    edit(tree, theory, "`exact`: exactly that share.", "`exact`: exactly that share; `leading`: the first.")
    edit(tree, "tests/images/test_pruning.py", r"ALL_AT_START = \(", r'\g<0>"leading", ')
    commands = re.findall(r"^python (workflow (?:keys|schema) .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        subprocess.run([sys.executable, *command.split()], cwd=tree, check=True)
    (tree / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    (tree / "results/core").mkdir(parents=True)
    shutil.copy(library, tree / "results/core")
    compiled, taken = "subprocess.run(command, cwd=folder, check=True)", f"symlink_to({str(library.parents[1])!r})"
    edit(tree, "tests/conftest.py", compiled, f'(folder / "results").{taken}')
    return tree


def edit(tree, path, old, new):
    """Replace the one place where a pattern stands."""
    text, places = re.subn(old if "\\" in old else re.escape(old), new, (tree / path).read_text())
    assert places == 1, f"{path}: {old!r} stands there {places} times"
    (tree / path).write_text(text)


def test_the_recipes_of_a_pruning_method_and_of_a_network_are_complete(extended):
    tables = {name: f"results/{name}/summary.parquet" for name in CONFIG["experiments"]}
    command = [sys.executable, "-m", "snakemake", *tables.values(), "--cores", "1", "--configfile", "tiny.yaml"]
    run = subprocess.run(command, cwd=extended, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    for path in tables.values():
        density = dict(pq.read_table(extended / path, columns=["method", "density"]).to_pandas().values)
        assert density["leading"] == 0.5
        assert 0.3 < density["bernoulli"] < 0.7 and density["bernoulli"] != 0.5


def test_the_tests_that_the_recipe_names_pass_after_it(extended):
    which = "every_allowed or nested or exact_size or layers_are_those or step_on_the_core"
    named = ["-k", which, "tests/two_layer", "tests/images"]
    for tests in (["tests/config"], named):
        command = [sys.executable, "-m", "pytest", "-q", *tests]
        run = subprocess.run(command, cwd=extended, capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stdout


def test_what_the_recipes_name_is_there():
    defined = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    words = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    tests = [word for word in words if re.fullmatch(r"test_\w+", word)]
    paths = [word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.(py|md|yaml|rst|json))", word)]
    assert len(tests) > 10
    assert len(paths) > 15
    assert [test for test in tests if f"def {test}(" not in defined] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []
