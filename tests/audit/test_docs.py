"""What a run is held against: every published result, not only those that published.json still names."""

import json

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
    said = {"plan": docs._hash(plan), "files": {"claims.md": sha256(place / "claims.md")}}

    def found(large: dict[str, str]) -> list[tuple[int, str]]:
        (place / "published.json").write_text(json.dumps(said | {"large_tables": large}))
        findings, copies = docs.check(tmp_path / "config/one.yaml", {}, Records(), plan)
        assert copies == 1
        return [(finding.code, finding.path) for finding in findings]

    assert found({"tables/fig5/metrics.parquet": "0" * 64}) == []
    assert found({}) == [(4, "results/fig5/metrics.parquet")]


def test_no_configuration_is_published_among_the_copies_of_the_default_one():
    assert docs.place(CHECKOUT / "config.yaml") == "docs"
    assert docs.place(CHECKOUT / "config/mine.yaml") == "docs/mine"
    assert [docs.place(CHECKOUT / f"config/{name}.yaml") for name in ("figures", "tables")] == [None, None]
