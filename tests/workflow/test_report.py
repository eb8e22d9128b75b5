"""The report, opened offline in a browser: whatever it lists can be seen, and nothing is fetched."""

import itertools
import json
import re
import time
from pathlib import Path

import pytest
import yaml
from browser import Browser
from debian import need
from project import ROOT, snakemake

CLICK = """
const found = [...document.querySelectorAll('a, button')].filter(e => e.innerText.trim() == arguments[0]);
if (found.length) found[0].click();
"""
CATEGORIES = """
const all = document.body.innerText.split('\\n').map(t => t.trim());
const landing = all.indexOf(document.querySelector('.prose h1').innerText);
return all.slice(all.findIndex(t => t.toUpperCase() == 'RESULTS') + 1, landing).filter(t => t);
"""
LANDING = "return [...document.querySelectorAll('.prose')].map(e => e.innerText).join()"
FIRST_WORD = """
const heading = document.querySelector('.prose h1');
const box = heading.getBoundingClientRect();
return document.elementFromPoint(box.left + 2, box.top + box.height / 2) == heading;
"""
CAPTIONS = "return Object.entries(results).map(([path, result]) => [path, result.caption])"
ROWS = "return [...document.querySelectorAll('tbody tr')].map(row => row.cells[0].innerText.split(': ')[0])"
EYE = "document.querySelectorAll('tbody tr')[arguments[0]].querySelector('[iconname=eye]').click()"
SHOWN = """
const width = e => e.getBoundingClientRect().width;
const picture = [...document.querySelectorAll('img')].find(e => e.src.includes('filename=' + arguments[0] + '.'));
const page = document.querySelector('iframe');
return picture ? (picture.complete && picture.naturalWidth > 0 ? width(picture) : 0) : page ? width(page) : 0;
"""


def everything(browser: Browser, url: str) -> tuple[list[str], dict[str, float]]:
    """The categories of a report in their order, and how wide each of its entries is shown."""
    browser.open(url)
    categories = eventually(lambda: browser.run(CATEGORIES))
    seen = {}
    for category in categories:
        for i, name in enumerate(entries(browser, url, category)):
            entries(browser, url, category)  # without the page that the entry before has opened
            browser.run(EYE, i)
            seen[name] = eventually(lambda name=name: browser.run(SHOWN, name))
    return categories, seen


def entries(browser: Browser, url: str, category: str) -> list[str]:
    """Open a category of a report anew: the names of its entries."""
    browser.open("about:blank")
    browser.open(url)
    return eventually(lambda: browser.run(CLICK, category) or browser.run(ROWS))


def eventually(condition, seconds: float = 15):
    """The first true value of a condition that a page takes a moment to fulfil, or its last one."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def report(tree) -> Path:
    """The report of the run."""
    run = snakemake(tree, "--report", "results/report.html")
    assert run.returncode == 0, run.stdout
    assert "ERROR" not in run.stdout
    return tree / "results/report.html"


def test_the_drawing_of_the_stages_is_that_of_the_dag(report):
    """A node a file of rules, however many these generate; EXTEND draws the same, README the main arrows."""
    (text,) = re.findall(r"rulegraph_spec = ({.*});?$", report.read_text(), re.MULTILINE)
    drawn = {part["name"]: part["values"] for part in json.loads(text)["data"]}
    nodes = [node["rule"] for node in drawn["node-data"]]
    links = [(link["sourcerule"], link["targetrule"]) for name in drawn if "link" in name for link in drawn[name]]
    assert set(nodes) == {path.stem for path in (ROOT / "workflow/rules").glob("*.smk")}
    assert len(nodes) == len(set(nodes)) and len(links) == len(set(links))
    assert all(nodes.index(before) < nodes.index(after) for before, after in links)
    assert drawn_in("docs/EXTEND.md") == set(links)
    assert {name for link in drawn_in("README.md") for name in link} == set(nodes)
    assert drawn_in("README.md") <= set(links)


def drawn_in(page: str) -> set[tuple[str, str]]:
    """The arrows of a page's one diagram."""
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    chains = [re.split(r"\s+-\.?->\s+", re.sub(r"\[.*?\]", "", line.strip())) for line in diagram.splitlines()]
    return {pair for chain in chains for pair in itertools.pairwise(chain)}


def test_everything_in_the_report_can_be_seen_offline(tree, report):
    need({"chromium": "chromium", "chromedriver": "chromium-driver"})
    figures = yaml.safe_load((tree / "config/ci.yaml").read_text())["figures"]
    with Browser() as browser:
        browser.requests()
        url = report.as_uri()
        browser.open(url)
        landing = eventually(lambda: browser.run(LANDING))
        first_word = browser.run(FIRST_WORD)
        captions = {path.split("/")[-1]: caption for path, caption in browser.run(CAPTIONS)}
        categories, seen = everything(browser, url)
        console, requests = browser.console(), browser.requests()
    assert "What was asked" in landing
    assert first_word
    assert set(seen) == {*(path.stem for path in (tree / "results/pages").iterdir()), *figures}
    assert all(width > 200 for width in seen.values()), seen
    assert categories == ["Claims and scorecard", *(f"Figure {k}" for k in range(1, 6)), "Real data", "Theory"]
    for name in figures:
        assert f"python workflow audit trace results/figures/{name}.svg" in captions[f"{name}.svg"]
    assert not [line for line in console if line.startswith("SEVERE")], console
    assert {url.split(":")[0] for url in requests} <= {"file", "data", "blob", "chrome", "about"}
