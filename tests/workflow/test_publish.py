"""`make publish`: every configuration has its own folder in docs/, to which only a whole run of it gets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import ROOT, audit

from winnow.audit.docs import SMALL, place
from winnow.audit.records import CHECKOUT
from winnow.inputs import sha256

CI = yaml.safe_load((ROOT / "config/ci.yaml").read_text())
NAMES = {f"{name}.{kind}" for name in ("claims", "scorecard") for kind in ("md", "json")}
NAMES |= {f"figures/{name}.{kind}" for name in CI["figures"] for kind in ("svg", "data.parquet")}
TABLES = {f"tables/{name}/{table}.parquet" for name in CI["experiments"] for table in ("metrics", "summary")}
BELOW = "results/fig2a/runs/fraction-0.5/seed-1.parquet"
PLACES = {"config.yaml": "docs", "config/ci.yaml": "docs/ci", "config/other.yaml": "docs/other"}


def publish(tree: Path, config: str) -> tuple[int, str]:
    """`audit publish` in a tree: exit code and output."""
    command = [sys.executable, "workflow", "audit", "publish", "--config", config]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def content(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


def verify(tree: Path, config: str) -> tuple[int, list[str], int]:
    """Exit code of `audit verify`, what it found, and at how many copies it looked."""
    code, found = audit(tree, "verify", "--config", config)
    return code, [f"{f['code']} {f['path']} {f['what']}" for f in found["findings"]], found["looked_at"]["copies"]


@pytest.fixture(scope="module")
def published(tree, tmp_path_factory):
    """A copy of the tree, whose run is one of three configurations that say the same, each published."""
    folder = tmp_path_factory.mktemp("published") / "tree"
    shutil.copytree(tree, folder, symlinks=True)
    shutil.copy(ROOT / "Makefile", folder)
    for config in PLACES:
        if config != "config/ci.yaml":
            shutil.copy(folder / "config/ci.yaml", folder / config)
        assert publish(folder, config)[0] == 0
    return folder


@pytest.fixture
def docs(published):
    """The folder docs/ as it was published, again after the test."""
    kept = published.parent / "kept"
    shutil.copytree(published / "docs", kept)
    yield published / "docs"
    shutil.rmtree(published / "docs")
    kept.rename(published / "docs")


def test_a_place_follows_from_the_name():
    assert place(CHECKOUT / "config.yaml") == "docs"
    assert place(CHECKOUT / "config/scaling.yaml") == "docs/scaling"
    assert place(CHECKOUT.parent / "config.yaml") is None
    assert place(CHECKOUT.parent / "config/ci.yaml") is None


def test_figures_with_their_numbers_and_judgements_are_copied(published):
    results = content(published / "results")
    for folder in PLACES.values():
        copies = content(published / folder)
        said = json.loads((published / folder / "published.json").read_text())
        assert said["files"].keys() | said["large_tables"].keys() == NAMES | TABLES
        assert said["devices"] == ["cpu"]
        for name, digest in said["files"].items():
            assert digest == copies.pop(name) == results[name.removeprefix("tables/")]
        for name, digest in said["large_tables"].items():
            assert digest == results[name.removeprefix("tables/")]
            assert (published / "results" / name.removeprefix("tables/")).stat().st_size > SMALL
        if folder != "docs":  # which the others lie in
            assert set(copies) == {"published.json"}


def test_when_and_by_what_a_run_was_made_stands_beside_the_copies(published):
    runs = [json.loads(file.read_text()) for file in (published / "results/provenance").rglob("*.run.json")]
    said = json.loads((published / "docs/ci/published.json").read_text())
    assert said["start"] == min(run["start"] for run in runs)
    assert said["end"] == max(run["end"] for run in runs)
    assert said["processors"] == sorted({run["cpu"]["name"] for run in runs})
    assert said["commits"] == sorted({run["commit"] or "unknown: no git" for run in runs})


@pytest.mark.parametrize("config", ["config.yaml", "config/ci.yaml"])
def test_a_configuration_does_not_know_of_the_folders_of_others(published, docs, config):
    """Whatever lies there: publishing it leaves them as they are, and verifying it does not complain of them."""
    others = [folder for folder in PLACES.values() if folder != PLACES[config]]
    for folder in others:
        (published / folder / "claims.md").write_text("another run's")
        (published / folder / "published.json").unlink()
    (docs / "AUDIT.md").write_text("a page")
    before = content(docs)
    code, found, copies = verify(published, config)
    assert (code, found) == (0, [])
    assert copies > len(NAMES)
    (published / PLACES[config] / "claims.md").unlink()
    (published / PLACES[config] / "figures/old.svg").write_text("of a figure that there was")
    code, found, _ = verify(published, config)
    assert code == 4
    assert found == [
        f"4 {PLACES[config]}/claims.md is missing",
        f"1 {PLACES[config]}/figures/old.svg was not published",
    ]
    assert publish(published, config)[0] == 0
    assert content(docs) == before


def test_nothing_published_is_nothing_looked_at(tree):
    assert not (tree / "docs").exists()
    assert verify(tree, "config/ci.yaml") == (0, [], 0)


@pytest.mark.parametrize("said", [None, "[]", '{"plan": "0", "files": {}}'])
def test_copies_of_another_run_are_told_in_one_line(published, docs, said):
    """As after a change of the configuration, or where copies were made by hand."""
    (docs / "ci/claims.md").write_text("another run's")
    (docs / "ci/published.json").unlink()
    if said is not None:
        (docs / "ci/published.json").write_text(said)
    code, found, copies = verify(published, "config/ci.yaml")
    assert code == 1
    assert [line.split(" of another run than ")[0] for line in found] == ["1 docs/ci/published.json is missing, or"]
    assert copies > len(NAMES)


def test_the_makefile_publishes_from_a_working_directory(published, docs):
    (published / "it's here").mkdir()
    (published / "it's here/results").symlink_to(published / "results")
    shutil.rmtree(docs / "ci")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--old-file=figures", "publish", "CONFIG=config/ci.yaml", "DIR=it's here", f"VENV={sys.prefix}"]
    run = subprocess.run(command, cwd=published, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert content(docs / "ci") == content(published.parent / "kept/ci")


def another_run(tree: Path) -> str:
    file = tree / "config/changed.yaml"
    file.write_text((tree / "config/ci.yaml").read_text().replace("root_seed: 2025", "root_seed: 2026"))
    return "config/changed.yaml"


def no_figures(tree: Path) -> str:
    file = tree / "config/nothing.yaml"
    experiment = {"kind": "two_layer", "fractions": [0], "seeds": 1}
    file.write_text(yaml.safe_dump({"experiments": {"a": experiment}, "figures": []}))
    return "config/nothing.yaml"


def tampered(tree: Path) -> str:
    file = tree / "results/figures/fig2a.svg"
    file.write_bytes(file.read_bytes() + b" ")
    return "config/ci.yaml"


def changed_below(tree: Path) -> str:
    file = tree / BELOW
    file.write_bytes(file.read_bytes() + b" ")
    return "config/ci.yaml"


def incomplete(tree: Path) -> str:
    (tree / "results/figures/fig2a.svg").unlink()
    return "config/ci.yaml"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (another_run, "only a whole run is published"),
        (tampered, "results/figures/fig2a.svg: "),
        (changed_below, "seed-1.parquet: "),  # only what is copied was hashed
        (incomplete, "results/figures/fig2a.svg: missing"),
        (no_figures, "only a whole run is published"),
    ],
)
def test_what_is_no_whole_run_of_the_configuration_is_not_published(published, docs, damage, says):
    before = content(docs)
    kept = {path: path.read_bytes() for path in (published / "results/figures/fig2a.svg", published / BELOW)}
    code, said = publish(published, damage(published))
    for path, there in kept.items():
        path.write_bytes(there)
    assert code == 6
    assert says in said
    assert len(said.splitlines()) == 1
    assert content(docs) == before


def another_copy(docs: Path) -> None:
    (docs / "claims.md").write_text((docs / "claims.md").read_text().replace("**inconclusive**", "**supported**", 1))


def another_result(docs: Path) -> None:
    """A copy and what is said of it changed together, as somebody would who knows how."""
    another_copy(docs)
    said = json.loads((docs / "published.json").read_text())
    said["files"]["claims.md"] = sha256(docs / "claims.md")
    (docs / "published.json").write_text(json.dumps(said))


def on_a_gpu(docs: Path) -> None:
    """What a GPU made may differ, and nothing is said of it."""
    another_result(docs)
    said = json.loads((docs / "published.json").read_text())
    (docs / "published.json").write_text(json.dumps(said | {"devices": ["NVIDIA H100", "cpu"]}))


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (another_copy, "1 docs/ci/claims.md is not what `make publish` copied"),
        (another_result, "1 results/claims.md `claims`: differs (from docs/ci/claims.md)"),
        (on_a_gpu, "6 results/claims.md `claims`: differs (from docs/ci/claims.md)"),
    ],
)
def test_a_word_that_the_results_do_not_have(published, docs, damage, line):
    damage(docs / "ci")
    code, found, _ = verify(published, "config/ci.yaml")
    assert (code, found) == (int(line[0]), [line])
