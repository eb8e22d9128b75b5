"""`make wheel`, and what docs/CORE.md shows of it, in an environment that has the wheel and, of ours, the libraries."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import torch

from winnow import paths
from winnow.audit.records import CHECKOUT

TORCH = Path(torch.__file__).parent
MADE_FROM = ("Makefile", "pyproject.toml", "setup.py", "LICENSE", "workflow/winnow")


def test_the_wheel_has_every_module_that_its_modules_import():
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert listed["packages"] == ["winnow.core"]
    found = {Path(file).resolve() for file in paths.sources("core.build", "core.feedforward", "core.modules")}
    beside = {file for file in found if file.parent.name != "core"}
    assert beside == {paths.PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in listed["py-modules"]}


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout, made with a torch in a folder beside it, headers and all."""
    folder = tmp_path_factory.mktemp("wheel")
    tree, torch_there = folder / "a träe", folder / "an élsewhere/torch"
    torch_there.mkdir(parents=True)
    for entry in TORCH.iterdir():
        if entry.name == "include":
            shutil.copytree(entry, torch_there / "include", copy_function=link)
        else:
            (torch_there / entry.name).symlink_to(entry)
    for name in MADE_FROM:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, tree / name)
    command = ["make", "--old-file=env", "wheel", f"VENV={sys.prefix}"]
    subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(torch_there.parent)}, check=True)
    [made] = (tree / "build/wheel").glob("*.whl")
    return made


def test_the_library_is_the_same_wherever_checkout_and_environment_lie(library, wheel):
    """That of the wheel against the one of all tests."""
    with zipfile.ZipFile(wheel) as archive:
        there = archive.read("winnow/core/libwinnow.so")
    assert os.fsencode(TORCH) not in there
    assert os.fsencode(wheel.parents[3]) not in there
    assert there == library.read_bytes()


def test_the_example_of_docs_core_md_runs_where_only_the_wheel_is(wheel, tmp_path):
    assert re.fullmatch(r"winnow_core-[\d.]+-py3-none-\w+\.whl", wheel.name)
    home = tmp_path / "home"
    venv.create(home)
    python = home / "bin/python"
    here = sysconfig.get_path("purelib")
    there = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with open(f"{there}/libraries.pth", "w") as file:
        file.write(here + "\n")
    install = ["--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    example = re.search(r"```python\n(.*?)```", (CHECKOUT / "docs/CORE.md").read_text(), re.DOTALL)[1]
    assert len(example.splitlines()) <= 20
    more = "torch.save(network, 'network.pt'); import winnow; print(winnow.__file__); print(network)"
    done = subprocess.run([python, "-I", "-c", example + more], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy, place, *network = done.stdout.splitlines()
    assert float(accuracy) > 0.8
    assert place.startswith(there)
    assert sum("Masked" in line for line in network) == 3
    # A whole network is saved as an object; the file is the one that the lines above made.
    again = "import torch; print(torch.load('network.pt', weights_only=False)(torch.zeros(2, 1, 8, 8)).shape)"
    done = subprocess.run([python, "-I", "-c", again], cwd=home, capture_output=True, text=True)
    assert done.stdout == "torch.Size([2, 10])\n", done.stderr
