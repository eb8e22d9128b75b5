"""Run tables of image networks are byte-identical on every processor, and from the core of another compiler."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processor import LESSER, lesser

from winnow.config.base import RunSettings
from winnow.files import write_arrays
from winnow.images import data, settings
from winnow.randomness import generator

METHODS = ("bernoulli", "exact", "layerwise", "erk", "magnitude", "snip", "grasp", "synflow", "imp", "shuffled_imp")
CODE = """
import sys
from winnow.images import training
folder, library = sys.argv[1:3]
def run(method, fraction, sigma, *more):
    out = f"{folder}/{method}-{fraction}-{sigma}.parquet"
    training.main(["--settings", "experiment.json", "--core", library, "--set", f"method={method}", f"sigma={sigma}",
        "--fraction", fraction, "--seeds", "0", "--data", "seed-0.npz", "--out", out, *more])
masks = f"{folder}/imp.safetensors"
run("imp", "0", "0", "--next-fraction", "0.7", "--next-masks", masks)
for method in sys.argv[3:]:
    run(method, "0.7", "0", *(["--masks", masks] if "imp" in method else []))
run("bernoulli", "0.7", "0.5")
"""


def tables(folder, library, name, **environment):
    """sha256 of every table and mask that the runs write in a process of its own."""
    made = folder / name
    made.mkdir()
    paths = os.pathsep.join([str(Path(settings.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", CODE, str(made), str(library), *METHODS]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": paths} | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.iterdir())}


MODELS = {
    "mlp": {"hidden": [40, 24]},
    "vgg": {"architecture": "vgg", "depth": 11, "width": 3},
    "resnet": {"architecture": "resnet", "depth": 8, "width": 4},
}


@pytest.fixture(scope="module", params=MODELS)
def expected(request, library, tmp_path_factory):
    """(folder, tables) of this processor as it is."""
    folder = tmp_path_factory.mktemp("bits")
    tree = {
        "kind": "images",
        "data": {"source": "digits", "n_test": 1300},
        "model": MODELS[request.param],
        "pruning": {"score_examples": 100},
        "training": {"epochs": 3, "batch_size": 48, "evaluate_every": 1, "momentum": 0.5, "weight_decay": 0.001},
    }
    experiment = RunSettings[settings.ImageSettings](
        experiment="x", root_seed=1, settings=settings.ImageSettings(**tree)
    )
    (folder / "experiment.json").write_text(experiment.model_dump_json())
    write_arrays(folder / "seed-0.npz", **data.draw(experiment.settings.data, generator(1, "x", 0, "data")))
    found = tables(folder, library, "as it is")
    assert len(found) == len(METHODS) + 3 and len(set(found.values())) == len(found)
    return folder, found


@pytest.mark.parametrize("processor", LESSER)
def test_the_instructions_of_a_processor_change_no_byte(expected, library, processor):
    folder, found = expected
    assert tables(folder, library, processor, **lesser(processor)) == found


def test_another_compiler_changes_no_byte(expected, clang):
    folder, found = expected
    assert tables(folder, clang, "clang") == found
