"""README as its readers use it: short, its numbers those that were published, its recipe run as it stands."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from project import KEPT, ROOT

from winnow.analysis import stats

TEXT = (ROOT / "README.md").read_text()
STUDIES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/studies/*/README.md"))
PAGES = {page: (ROOT / page).read_text() for page in ("README.md", "docs/RESULTS.md", *STUDIES)}
MINUS = "\u2212"
NUMBER = rf"([{MINUS}-]?\d*\.?\d+)"
INTERVAL = re.compile(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]")
KEPT_AS_GOLDEN = json.loads((ROOT / "docs/ci/claims.json").read_text())["claims"]  # of the small configuration
COUNT = re.compile(r"(\d+) of (\d+) points")


def test_the_readme_is_short_and_starts_with_what_a_visitor_asks():
    assert len(TEXT.split()) <= 900
    first_screen = "\n".join(TEXT.splitlines()[:40])
    parts = ("does pruning a network at random", "![", "make figures ", "**fraction**")
    places = [first_screen.find(part) for part in parts]
    assert places == sorted(places) and places[0] > 0
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert headings[:5] == ["Install and run", "What was found", "How it works", "Use it", "Audit"]


def published(name: str) -> list[dict]:
    """The rows of all published files of a name: claims of every study, or scorecards."""
    files = sorted((ROOT / "docs").glob(f"**/{name}.json"))
    return [row for file in files for row in json.loads(file.read_text())["claims" if name == "claims" else "figures"]]


def printed(value: float, text: str) -> bool:
    """Whether a value reads so with as many decimals."""
    decimals = len(text.partition(".")[2])
    return f"{value + 0:.{decimals}f}" == f"{float(text.replace(MINUS, '-')):.{decimals}f}"


@pytest.mark.parametrize("page", PAGES)
def test_every_interval_is_one_that_was_published(page):
    rows = [[row[key] for key in ("estimate", "low", "high")] for row in published("claims") if row["low"] is not None]
    found = INTERVAL.findall(PAGES[page])
    assert len(found) > 3 or page in STUDIES
    for numbers in found:
        assert any(all(map(printed, row, numbers)) for row in rows), f"{page}: {numbers} is no published interval"


def test_the_verdicts_that_hang_on_what_a_family_is_are_named():
    rows = [row for row in published("claims") if row not in KEPT_AS_GOLDEN and row["p_value"] is not None]
    of_all = stats.holm([row["p_value"] for row in rows])
    hang = {row["id"] for row, p in zip(rows, of_all, strict=True) if (p < 0.05) != (row["p_adjusted"] < 0.05)}
    (said,) = re.findall(r"Of all pages as one family, (.*?)\n\n", PAGES["docs/RESULTS.md"], re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", said)) == hang


def test_every_count_of_points_is_one_that_was_published():
    figures = published("scorecard")
    counts = {(row["agree"], row["points"]) for row in figures}
    counts |= {(curve["agree"], curve["points"]) for row in figures for curve in row["curves"].values()}
    found = [count for page in PAGES.values() for count in COUNT.findall(page)]
    assert len(found) > 3
    assert [count for count in found if tuple(map(int, count)) not in counts] == []


def test_an_own_question_is_answered_as_the_readme_says(tmp_path, library):
    """Ten lines of YAML, one command, and a plot beside the paper's curve."""
    (config,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (plot,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    command = re.search(r"`make figures CONFIG=build/wide.yaml DIR=build/wide`", TEXT)
    assert command and config.count("\n") <= 12
    for name in KEPT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    shutil.copytree(library.parents[1], tmp_path / "build/wide/results")  # compiling takes longer than all else
    (tmp_path / "build/wide.yaml").write_text(config)
    snakemake = ["-m", "snakemake", "--cores", "1", "--configfile", "build/wide.yaml", "--directory", "build/wide"]
    for arguments in (snakemake, ["-c", plot]):
        run = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
    assert "paper, width 150" in (tmp_path / "build/wide/wide.svg").read_text()
