"""`make wheel`, and what docs/CORE.md shows of it, in an environment that has the wheel and, of ours, the libraries."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv

from winnow.audit.records import CHECKOUT

MADE_FROM = ("Makefile", "pyproject.toml", "setup.py", "LICENSE", "workflow/winnow")


def test_the_example_of_docs_core_md_runs_where_only_the_wheel_is(tmp_path):
    tree, home = tmp_path / "a träe", tmp_path / "home"
    for name in MADE_FROM:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, tree / name)
    command = ["make", "--old-file=env", "wheel", f"VENV={sys.prefix}"]
    subprocess.run(command, cwd=tree, check=True)
    [wheel] = (tree / "build/wheel").glob("*.whl")
    assert re.fullmatch(r"winnow_core-[\d.]+-py3-none-\w+\.whl", wheel.name)

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
    again = "import torch; print(torch.load('network.pt', weights_only=False)(torch.zeros(2, 1, 8, 8)).shape)"
    done = subprocess.run([python, "-I", "-c", again], cwd=home, capture_output=True, text=True)
    assert done.stdout == "torch.Size([2, 10])\n", done.stderr
