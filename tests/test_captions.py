"""The captions of the report, filled from every configuration here."""

from types import SimpleNamespace

import jinja2
import pytest
import yaml
from docutils.core import publish_parts

from winnow.audit.records import CHECKOUT
from winnow.catalogue import FIGURES, matching
from winnow.config.load import load

FILES = sorted([CHECKOUT / "config.yaml", *CHECKOUT.glob("config/*.yaml")])
DRAWN = [(file, name) for file in FILES for name in yaml.safe_load(file.read_text())["figures"]]


def caption(tree: dict, figure: str) -> str:
    """A figure's caption as Snakemake renders it, but that an unknown setting or bad markup is an error."""
    config = load(tree)
    names = matching(FIGURES[figure].experiments, config.experiments)
    settings = {name: config.run_settings(name).settings.model_dump(mode="json") for name in names}
    text = (CHECKOUT / "workflow/report" / FIGURES[figure].caption(figure)).read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    filled = environment.from_string(text).render(snakemake=SimpleNamespace(params=SimpleNamespace(settings=settings)))
    strict = {"halt_level": 2, "report_level": 2}
    body = publish_parts(filled, writer="html", settings_overrides=strict)["body"]
    assert body and "<cite>" not in body  # a single backquote is no code in reStructuredText
    return " ".join(filled.split())


@pytest.mark.parametrize(("file", "figure"), DRAWN, ids=[f"{file.stem}-{figure}" for file, figure in DRAWN])
def test_every_caption_can_be_filled(file, figure):
    assert f"rederive results/figures/{figure}.svg" in caption(yaml.safe_load(file.read_text()), figure)


@pytest.mark.parametrize(
    ("figure", "experiment", "changes", "says"),
    [
        ("fig2a", "fig2a", {"model": {"width": 300}}, "300 ReLU neurons"),
        ("fig2a", "fig2a", {"training": {"max_steps": 77}}, "after 77 steps"),
        ("fig2b", "fig2b", {"data": {"sigma_n": 0.7}}, "sigma_n = 0.7"),
        ("fig5a", "fig5", {"model": {"width": 3}}, "; 3 hidden neurons"),
        ("fig5a", "fig5", {"model": {"width": 3}}, "one in 4, whose 3 outputs"),
        ("fig3a", "fig3a", {"model": {"hidden": [7, 5]}}, "7-5 (hidden neurons) on mnist-5k"),
        ("methods", "methods", {"training": {"eps": None, "epochs": 9}}, "Training stops after 9 epochs."),
    ],
)
def test_a_caption_says_what_was_run(figure, experiment, changes, says):
    tree = yaml.safe_load((CHECKOUT / "config.yaml").read_text())
    for section, values in changes.items():
        section = tree["experiments"][experiment].setdefault(section, {})
        section |= values
    assert says in caption(tree, figure)
