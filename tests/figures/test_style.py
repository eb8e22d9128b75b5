"""Figures depend on the configuration and the code alone: not on the home, the fonts or the notebook around them."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont  # matplotlib needs it

WORKFLOW = Path(__file__).parents[2] / "workflow"
DRAW = """
import sys
from winnow.figures import style
figure, axes = style.new_figure()
axes.plot([0, 1], [0, 1], label=r"$\\sigma_n$ = 1")
axes.set(xlabel="pruned fraction", ylabel="test error", title="Fonts")
axes.legend()
style.save(figure, dict(zip(("svg", "pdf", "png"), sys.argv[1:])))
"""
RC = """
savefig.bbox: tight
axes.linewidth: 3
text.usetex: True
font.family: serif
mathtext.fontset: cm
pdf.fonttype: 3
pdf.compression: 0
svg.fonttype: none
path.simplify: False
backend: pdf
"""


def drawn(folder: Path, **environment: str) -> dict[str, str]:
    """The sha256 of a figure drawn by a new interpreter whose home is a folder."""
    paths = [folder / f"figure.{suffix}" for suffix in ("svg", "pdf", "png")]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "XDG", "MATPLOTLIB"))}
    told = clean | {"HOME": str(folder), "PYTHONPATH": str(WORKFLOW)} | environment
    command = [sys.executable, "-c", DRAW, *map(str, paths)]
    subprocess.run(command, env=told, cwd=folder, check=True, capture_output=True, timeout=300)
    return {path.suffix: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> dict[str, str]:
    """A figure drawn in an empty home."""
    return drawn(tmp_path_factory.mktemp("clean"))


def test_a_users_settings_are_none_of_the_figures(tmp_path, clean):
    (tmp_path / ".config/matplotlib").mkdir(parents=True)
    (tmp_path / ".config/matplotlib/matplotlibrc").write_text(RC)
    assert drawn(tmp_path) == clean


@pytest.mark.parametrize("family", ["Arial", "DejaVu Sans"])
def test_nor_are_installed_fonts(tmp_path, clean, family):
    """A serif font of that name, where matplotlib looks for the user's fonts."""
    font = TTFont(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSerif.ttf"))
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = family
    (tmp_path / ".fonts").mkdir()
    font.save(tmp_path / ".fonts/a.ttf")
    if shutil.which("fc-list"):
        assert family in subprocess.run(["fc-scan", tmp_path / ".fonts/a.ttf"], capture_output=True, text=True).stdout
    assert drawn(tmp_path) == clean


def test_nor_is_the_notebook_that_a_command_runs_in(tmp_path, clean):
    assert drawn(tmp_path, MPLBACKEND="module://matplotlib_inline.backend_inline") == clean


def test_a_pdf_holds_fonts_that_publishers_accept(tmp_path):
    drawn(tmp_path)
    content = (tmp_path / "figure.pdf").read_bytes()
    assert b"/CIDFontType2" in content and b"/Type3" not in content
