"""The files around the workflow: what the Makefile, CI and README say must be there."""

import io
import re
from pathlib import Path

import pytest
from docutils.core import publish_parts

ROOT = Path(__file__).resolve().parents[2]


PAGES = [ROOT / "README.md", ROOT / "results/README.md", *ROOT.glob("config/*.md"), *ROOT.glob("docs/**/*.md")]


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_the_documentation_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert link.startswith("http") or target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


def test_the_house_is_drawn_with_every_package():
    text = (ROOT / "docs/EXTEND.md").read_text()
    packages = [path.parent for path in (ROOT / "workflow/winnow").glob("*/__init__.py")]
    assert [path.name for path in packages if f"`{path.relative_to(ROOT).as_posix()}/`" not in text] == []


def test_every_figure_and_page_has_a_caption():
    from winnow.catalogue import FIGURES

    tables = {"claims", "scorecard"}
    captions = {path.stem: path.read_text() for path in (ROOT / "workflow/report").glob("*.rst")}
    assert captions.pop("workflow")  # the report's first page
    assert set(captions) == {figure.caption(name).removesuffix(".rst") for name, figure in FIGURES.items()} | tables
    for name, caption in captions.items():
        output = f"results/{name}.json" if name in tables else f"results/figures/{name}.svg"
        for command in ("trace", "rederive"):
            assert f"\n    python workflow audit {command} {output}\n" in caption.replace("{{ figure }}", name)


@pytest.mark.parametrize("name", ["workflow", "claims", "scorecard"])
def test_a_caption_without_settings_renders_clean(name):
    """As the report renders it (test_captions.py has those of figures); a single backquote is a citation, no code."""
    caption = ROOT / f"workflow/report/{name}.rst"
    complaints = io.StringIO()
    told = {"report_level": 1, "warning_stream": complaints}
    html = publish_parts(caption.read_text(), writer="html", settings_overrides=told)["body"]
    assert complaints.getvalue() == ""
    assert "system-message" not in html
    assert "<cite>" not in html
    assert not re.search(r"{[{%#]", caption.read_text()), "the report fills in templates"


def test_every_target_of_the_makefile_is_in_its_head():
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    assert set(targets) == set(re.findall(r"make ([a-z-]+)", text.split("\nCONFIG =")[0]))


def test_the_configurations_are_listed():
    listed = re.findall(r"^\| `([\w/-]+\.yaml)` \|", (ROOT / "config/README.md").read_text(), re.MULTILINE)
    there = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("config/*.yaml")]
    assert sorted(listed) == sorted(["config.yaml", *there])


def test_ci_and_readme_run_the_same_commands():
    ci = (ROOT / ".ci/run").read_text()
    actions = (ROOT / ".github/workflows/ci.yml").read_text()
    readme = (ROOT / "README.md").read_text()
    for command in ("make figures", "make test"):
        assert command in ci
        assert command in actions
        assert re.search(rf"(^|`){command}[ `]", readme, re.MULTILINE)
