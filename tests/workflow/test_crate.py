"""The exported crate: complete, with true hashes, and valid by the profile's own validator where it can run."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(
    not shutil.which("rocrate-validator"), reason="roc-validator is not installed (its pins clash with ours)"
)
def test_the_profile_is_met(crate):
    run = subprocess.run(
        ["rocrate-validator", "-y", "--disable-color", "validate", str(crate), "-p", PROFILE, "--no-paging"],
        capture_output=True,
        text=True,
    )
    if "Unable to retrieve" in run.stdout or "URLError" in run.stdout:
        pytest.skip("the JSON-LD contexts of RO-Crate cannot be fetched")
    assert run.returncode == 0, run.stdout
