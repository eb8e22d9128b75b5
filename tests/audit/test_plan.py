"""What the workflow would run: asked of Snakemake, and nothing that a user configures for it changes the answer."""

import pytest
import yaml

from winnow.audit.plan import planned
from winnow.errors import WinnowError

CONFIG = {
    "experiments": {"fig2a": {"kind": "two_layer", "fractions": [0, 0.5], "seeds": 2, "training": {"max_steps": 5}}},
    "figures": ["fig2a"],
}
PROFILE = "quiet: all\nforceall: false\nconfig: [root_seed=7]\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "an é.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return file


@pytest.fixture(scope="module")
def undisturbed(config):
    return planned(config)


def test_every_file_has_its_command_line(undisturbed):
    run = undisturbed["results/fig2a/runs/fraction-0.5/seed-1.parquet"]
    assert run[0] == "train"
    assert run[run.index("--fraction") + 1] == "0.5"
    assert {"results/core/libwinnow.so", "results/figures/fig2a.svg", "results/scorecard.json"} <= set(undisturbed)


def write(file, text: str):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def profile_of_the_shell(folder, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(write(folder / "mine/config.yaml", PROFILE).parent))


def profile_of_the_home(folder, monkeypatch):
    write(folder / "home/.config/snakemake/mine/config.yaml", PROFILE)
    write(folder / "xdg/snakemake/mine/config.yaml", PROFILE)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "xdg"))
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")


def profile_of_the_working_directory(folder, monkeypatch):
    write(folder / "profiles/default/config.yaml", PROFILE)
    write(folder / "default/config.yaml", PROFILE)


def packages_of_the_shell(folder, monkeypatch):
    for name in ("snakemake", "winnow", "yaml"):
        write(folder / f"packages/{name}.py", "raise SystemExit('not this one')")
    monkeypatch.setenv("PYTHONPATH", str(folder / "packages"))


def locale_of_the_shell(folder, monkeypatch):
    monkeypatch.setenv("LC_ALL", "POSIX")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")


@pytest.mark.parametrize(
    "disturb",
    [
        profile_of_the_shell,
        profile_of_the_home,
        profile_of_the_working_directory,
        packages_of_the_shell,
        locale_of_the_shell,
    ],
)
def test_the_users_snakemake_does_not_matter(tmp_path, monkeypatch, config, undisturbed, disturb):
    monkeypatch.chdir(tmp_path)
    disturb(tmp_path, monkeypatch)
    assert planned(config) == undisturbed


def test_why_there_is_no_plan_is_one_line(tmp_path):
    config = write(tmp_path / "bad.yaml", yaml.safe_dump(CONFIG | {"root_sed": 1}))
    with pytest.raises(WinnowError, match=r"cannot be planned: .*root_sed = 1: unknown key; allowed: ") as error:
        planned(config)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(WinnowError, match=r"cannot be planned: .*not valid JSON or YAML") as error:
        planned(write(tmp_path / "broken.yaml", "experiments: ["))
    assert len(str(error.value).splitlines()) == 1
