"""The exported crate: complete, with true hashes, and valid by the profile's own validator."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
from project import ROOT

PROFILE = "provenance-run-crate-0.5"


@pytest.fixture(scope="module")
def crate(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "crate"
    command = [sys.executable, "workflow", "audit", "export", str(folder), "--config", "config/ci.yaml"]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return folder


def entities(crate) -> dict[str, dict]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph), "an entity is described twice"
    return found


def references(value) -> set[str]:
    """Every entity that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if isinstance(value, dict):
        return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
    return set()


def test_every_file_is_described_with_its_hash(crate):
    found = entities(crate)
    files = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    described = {name for name, entity in found.items() if "File" in entity["@type"]}
    assert described == files - {"ro-crate-metadata.json"}
    for name in described:
        assert found[name]["sha256"] == hashlib.sha256((crate / name).read_bytes()).hexdigest()


def test_nothing_refers_to_what_is_not_there(crate):
    found = entities(crate)
    missing = set().union(*map(references, found.values())) - set(found)
    assert all(name.startswith("https://") for name in missing), missing


def test_every_job_is_an_action_with_its_inputs_and_outputs(tree, crate):
    found = entities(crate)
    jobs = {
        (tree / path).read_text()
        for path in map(str, (tree / "results/provenance").rglob("*.json"))
        if ".run." not in path
    }
    actions = [
        entity for name, entity in found.items() if name.startswith("#job-") and entity["@type"] == "CreateAction"
    ]
    assert len(actions) == len(jobs)
    drawn = next(action for action in actions if "results/figures/fig2a.svg" in references(action["result"]))
    assert "results/fig2a/metrics.parquet" in references(drawn["object"])
    assert found[drawn["instrument"]["@id"]]["name"] == "python workflow figure"


@pytest.fixture(scope="module")
def validate(tmp_path_factory):
    """A function that runs roc-validator on a crate, from an environment of its own with its contexts given locally."""
    python = tmp_path_factory.mktemp("validator") / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", ROOT / "envs/crate.txt"]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"envs/crate.txt cannot be installed: {installed.stderr.strip().splitlines()[-1]}")

    def run(crate) -> subprocess.CompletedProcess:
        options = ["-y", "--disable-color", "validate", crate, "--profile-identifier", PROFILE, "--no-paging"]
        return subprocess.run(
            [python, ROOT / "tests/workflow/validate.py", *options], capture_output=True, text=True, timeout=300
        )

    return run


def test_the_profile_is_met(crate, validate, tmp_path):
    run = validate(crate)
    assert run.returncode == 0, run.stdout
    broken = shutil.copytree(crate, tmp_path / "broken")
    described = json.loads((broken / "ro-crate-metadata.json").read_text())
    for entity in described["@graph"]:
        entity.pop("instrument", None)
    (broken / "ro-crate-metadata.json").write_text(json.dumps(described))
    run = validate(broken)
    assert run.returncode == 1, run.stdout
