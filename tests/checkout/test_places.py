"""The workflow where its users put it: quotes and spaces in every path, moved, and inside another workflow."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from project import KEPT, ROOT, TINY

CONFIG = {"root_seed": 3, "experiments": {"tiny": TINY}, "figures": []}
TABLES = ["results/tiny/metrics.parquet", "results/tiny/summary.parquet"]
RUN = "results/tiny/runs/fraction-0.5/seed-0.parquet"
NOTHING = "Nothing to be done"


def said(command: list, folder: Path, **exported: str) -> tuple[int, str]:
    """Exit code of a command, and output and errors together; a `make` above leaves it no options."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    environment |= exported
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 600}
    run = subprocess.run(list(map(str, command)), cwd=folder, env=environment, **pipe)
    return run.returncode, run.stdout


def snakemake(folder: Path, *arguments: str) -> tuple[int, str]:
    """Snakemake in a folder: exit code and output."""
    return said([sys.executable, "-m", "snakemake", "--cores", "1", *arguments], folder)


class House:
    """A checkout with its environment, and beside it a configuration and a working folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkout, self.work = folder / 'the "win" now', folder / "what's made"
        self.config, self.venv = '../my "own" configs/it\'s.yaml', "an env'"

    def make(self, target: str, **variables: str) -> tuple[int, str]:
        """`make` in the checkout, with paths as they are seen from it."""
        work = os.path.relpath(self.work, self.checkout)
        given = {"CONFIG": self.config, "DIR": work, "VENV": self.venv, "CORES": "1"} | variables
        return said(["make", target, *(f"{key}={value}" for key, value in given.items())], self.checkout)

    def build(self) -> None:
        """Make all of it. The environment has the packages of this one, and not a single script."""
        for name in [*KEPT, "Makefile"]:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, self.checkout / name)
        said([sys.executable, "-m", "venv", "--without-pip", self.venv], self.checkout)
        packages = next((self.checkout / self.venv).glob("lib/python*/site-packages"))
        (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
        (self.checkout / self.venv / "installed").touch()
        file = self.checkout / self.config
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(CONFIG))


@pytest.fixture(scope="module")
def house(library, tmp_path_factory):
    """A house after `make figures`; the core, which takes longer than all else, is the one that all tests share."""
    built = House(tmp_path_factory.mktemp('it\'s a "house"'))
    built.build()
    shutil.copytree(library.parents[1], built.work / "results")
    code, output = built.make("figures")
    assert code == 0, output
    return built


def test_an_experiment_that_no_figure_draws_is_run_and_verified(house):
    """In a folder with a space and quotes in every path."""
    assert all((house.work / table).is_file() for table in TABLES)
    code, output = house.make("audit")
    assert code == 0, output
    other = house.folder / "other.yaml"
    other.write_text(yaml.safe_dump(CONFIG | {"root_seed": 4}))
    code, output = said([sys.executable, house.checkout / "workflow", "audit", "verify", "--config", other], house.work)
    assert code == 1
    assert "root_seed 3, now 4" in output


def test_a_missing_table_of_it_is_found(house):
    kept = (house.work / TABLES[0]).rename(house.folder / "kept")
    code, output = house.make("audit")
    kept.rename(house.work / TABLES[0])
    assert code != 0
    assert f"{TABLES[0]}" in output


def test_a_second_run_has_nothing_to_do(house):
    code, output = house.make("figures")
    assert code == 0, output
    assert NOTHING in output


def test_a_working_folder_can_move_to_another_depth(house):
    for place in ("deep/er/still", 'the "win" now/build/here', "what's made"):
        target = house.folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        house.work = house.work.rename(target)
        code, output = house.make("figures")
        assert code == 0, output
        assert NOTHING in output, output


def test_a_printed_command_can_be_pasted(house):
    which = ["--snakefile", house.checkout / "Snakefile", "--configfile", house.checkout / house.config]
    code, output = snakemake(house.work, *which, "--dry-run", "--printshellcmds", "--force", RUN)
    assert code == 0, output
    command = next(line.split(": ", 1)[1] for line in output.splitlines() if line.startswith("Shell command: "))
    before = (house.work / RUN).read_bytes()
    (house.work / RUN).unlink()
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    subprocess.run(command, shell=True, cwd=house.work, env=os.environ | {"PATH": path}, check=True)
    assert (house.work / RUN).read_bytes() == before


USED = {
    "module": """
configfile: "mine.yaml"
rule all:
    input: "rows.txt"
module winnow:
    snakefile: config["snakefile"]
    config: config["winnow"]
use rule * from winnow as winnow_*
""",
    "include": """
import yaml
config.update(yaml.safe_load(open("mine.yaml"))["winnow"])
rule first:
    input: "rows.txt"
include: yaml.safe_load(open("mine.yaml"))["snakefile"]
""",
}
THEIRS = """
rule rows:
    input: "results/tiny/summary.parquet"
    output: "rows.txt"
    shell: "echo {input} > {output}"
"""


@pytest.mark.parametrize("way", USED)
def test_another_workflow_can_use_this_one(house, tmp_path, way):
    """With its own configuration and its own targets."""
    (tmp_path / "Snakefile").write_text(USED[way] + THEIRS)
    theirs = {"snakefile": str(house.checkout / "Snakefile"), "winnow": CONFIG | {"root_seed": 5}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(theirs))
    shutil.copytree(house.work / "results/core", tmp_path / "results/core")  # compiling it takes longer than all else
    code, output = snakemake(tmp_path)
    assert code == 0, output
    assert (tmp_path / "rows.txt").read_text() == "results/tiny/summary.parquet\n"
    assert json.loads((tmp_path / "results/tiny/experiment.json").read_text())["root_seed"] == 5
    assert NOTHING in snakemake(tmp_path)[1]


def test_a_fresh_clone_in_another_place_reruns_nothing(house, tmp_path):
    """Every file of it is newer than the results, and lies elsewhere as seen from them."""
    clone = shutil.copytree(house.checkout, tmp_path / "a/clone", copy_function=shutil.copyfile, symlinks=True)
    config = house.checkout / house.config
    code, output = snakemake(house.work, "--snakefile", clone / "Snakefile", "--configfile", config)
    assert code == 0, output
    assert NOTHING in output, output


def test_a_checkout_can_move_with_its_environment(house):
    house.checkout = house.checkout.rename(house.folder / "winnow 2")
    code, output = house.make("figures")
    assert code == 0, output
    assert NOTHING in output, output


@pytest.mark.parametrize("variable", ["DIR", "CONFIG", "VENV", "CORES", "PYTHON"])
def test_an_empty_variable_is_refused(house, variable):
    for value in ("", "  "):
        code, output = house.make("clean", **{variable: value})
        assert code != 0
        assert f"{variable} is empty" in output
    assert (house.work / TABLES[0]).is_file()


def test_what_a_shell_exports_does_not_reach_make():
    """A DIR that belongs to something else would be where `make clean` removes results."""
    variables = ("DIR", "CONFIG", "VENV", "CORES", "PYTHON")
    for target in ("clean", "figures"):
        command = ["make", "--dry-run", "--always-make", target]
        code, output = said(command, ROOT, **dict.fromkeys(variables, "exported"))
        assert code == 0, output
        assert "exported" not in output
        assert output == said(command, ROOT)[1]


def test_clean_removes_results_and_nothing_else(house):
    other = house.work / "other"
    other.mkdir()
    for name in ("README.md", "claims.md", "scorecard.json", "report.html"):  # all but the first without a record
        (house.work / "results" / name).touch()
    code, output = house.make("clean")
    assert code == 0, output
    assert {path.name for path in house.work.iterdir()} == {"other", "results"}
    assert {path.name for path in (house.work / "results").iterdir()} == {"README.md"}


def test_a_clone_where_git_changes_line_ends_has_the_bytes_of_this_checkout(tmp_path):
    """Records hash them."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    for name in (*KEPT, ".gitattributes"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, origin / name)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "core.autocrlf=true", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"], ["clone", "-q", origin, clone]):
        code, told = said([*git, *command], origin)
        assert code == 0, told
    names = said(["git", "ls-files"], origin)[1].split()
    assert "workflow/winnow/core/op.cpp" in names
    assert not [name for name in names if (clone / name).read_bytes() != (origin / name).read_bytes()]
