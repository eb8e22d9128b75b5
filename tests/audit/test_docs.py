"""What a run is held against: every published result, not only those that published.json still names."""

import json
import re

import pytest

from winnow.audit import docs
from winnow.audit.records import CHECKOUT, Records
from winnow.inputs import sha256


def test_a_result_that_published_json_does_not_name_is_no_agreement(tmp_path, monkeypatch):
    """Large tables have no copy: without their hash nothing was compared, and the answer was yes."""
    monkeypatch.setattr(docs, "CHECKOUT", tmp_path)
    plan = {"results/claims.md": ["claims"], "results/fig5/metrics.parquet": ["collect"], "results/a/runs/1": ["train"]}
    place = tmp_path / "docs/one"
    place.mkdir(parents=True)
    (place / "claims.md").write_text("as it was")
    said = {"plan": docs._hash(plan), "files": {"claims.md": sha256(place / "claims.md")}, "devices": ["cpu"]}

    def found(large: dict[str, str] | None) -> list[tuple[int, str]]:
        (place / "published.json").write_text(json.dumps(said | {"large_tables": large}))
        findings, copies = docs.check(tmp_path / "config/one.yaml", {}, Records(), plan)
        assert copies == 1
        return [(finding.code, finding.path) for finding in findings]

    assert found({"tables/fig5/metrics.parquet": "0" * 64}) == []
    assert found({}) == [(4, "results/fig5/metrics.parquet")]
    assert found(None) == [(1, "docs/one/published.json")]  # damaged


def test_no_configuration_is_published_among_the_copies_of_the_default_one():
    assert docs.place(CHECKOUT / "config.yaml") == "docs"
    assert docs.place(CHECKOUT / "config/mine.yaml") == "docs/mine"
    assert [docs.place(CHECKOUT / f"config/{name}.yaml") for name in docs.PARTS] == [None] * 3


PUBLISHED = sorted((CHECKOUT / "docs").rglob(docs.PUBLISHED))
STUDIES = sorted((CHECKOUT / "docs/studies").iterdir())


@pytest.mark.parametrize("said", PUBLISHED, ids=lambda path: path.parent.relative_to(CHECKOUT).as_posix())
def test_published_copies_are_those_of_their_record(said):
    """Where nobody runs the configuration any more, too: what was published of a study stays as it was."""
    published = json.loads(said.read_text())["files"]
    assert {name: sha256(said.parent / name) for name in published} == published
    assert docs._copies(said.parent.relative_to(CHECKOUT).as_posix()).keys() <= published.keys()


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_a_study_is_a_report_that_names_its_commits(study):
    report = (study / "README.md").read_text(encoding="utf-8")
    for part in ("**Frozen.**", "## The question", "## What was found", "## What it means", "## Limits"):
        assert part in report
    named = re.findall(r"`([0-9a-f]{7})`", report)
    commits = {commit for said in study.rglob(docs.PUBLISHED) for commit in json.loads(said.read_text())["commits"]}
    assert named and all(any(commit.startswith(short) for commit in commits) for short in named if commits)
