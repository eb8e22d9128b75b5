import json
import subprocess
import sys
from pathlib import Path

import pytest

from winnow import paths
from winnow.catalogue import FIGURES
from winnow.steps import STEPS

ROOT = Path(__file__).resolve().parents[1]
APART = ("audit", "schema", "columns", "keys")  # no rule runs them
DRAWING = [f"figures.{module}" for module in sorted({figure.module for figure in FIGURES.values()})]
JOBS = {step: [module, *(DRAWING if step == "figure" else [])] for step, module in STEPS.items() if step not in APART}


def imported(modules: list[str]) -> set[str]:
    """The package's files that a fresh interpreter holds after importing some modules."""
    code = f"""
import importlib, json, sys
for name in {modules}:
    importlib.import_module("winnow." + name)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "winnow"]))
"""
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    return {str(Path(file).resolve()) for file in json.loads(out.stdout)}


@pytest.mark.parametrize("step", JOBS)
def test_the_code_of_a_rule_is_the_modules_its_step_imports(step):
    declared = {str(Path(file).resolve()) for file in paths.sources(*JOBS[step])}
    assert declared == imported(JOBS[step])


def test_a_title_draws_no_figure_again():
    """Titles stand in the catalogue, which planning reads and steps that draw do not."""
    assert "catalogue.py" not in {file.name for file in paths.sources(*JOBS["figure"])}


def test_training_and_the_snakefile_stay_light():
    code = "import sys, {}; print(*[m for m in ('torch', 'pandas', 'seaborn', 'scipy') if m in sys.modules])"
    for modules, heavy in (
        ("winnow.config.load, winnow.paths", ""),
        ("winnow.two_layer.training", "torch"),
        ("winnow.two_layer.data", ""),
    ):
        out = subprocess.run(
            [sys.executable, "-c", code.format(modules)],
            cwd=ROOT / "workflow",
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == heavy


def test_patterns():
    assert paths.run("a", ["sigma_n"]) == "results/a/runs/sigma_n-{sigma_n}/fraction-{fraction}/seed-{seed}.parquet"
    assert paths.data("a", []) == "results/a/data/seed-{seed}.npz"
    assert paths.data("a", ["dimension"]) == "results/a/data/dimension-{dimension}/seed-{seed}.npz"
