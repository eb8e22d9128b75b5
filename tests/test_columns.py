"""The list of columns; tests/workflow holds it against the tables of a run, tests/figures against drawn figures."""

from winnow import columns
from winnow.audit.records import CHECKOUT
from winnow.images.settings import ImageSettings
from winnow.two_layer.settings import TwoLayerSettings


def test_the_page_is_the_list():
    assert (CHECKOUT / "docs/COLUMNS.md").read_text(encoding="utf-8") == columns.page(), (
        "run: python workflow columns docs/COLUMNS.md"
    )


def test_no_column_has_two_meanings_in_a_table_of_runs():
    """But a setting that is a column of every table anyway, and is listed as such."""
    parts = [columns.RUN, columns.TWO_CLASSES, columns.THEORY, columns.IMAGES]
    for settings in (TwoLayerSettings, ImageSettings):
        names = [name for part in [*parts, settings.sweepable()] for name in part]
        assert {name for name in names if names.count(name) > 1} == {"method"}


def test_every_column_has_a_meaning():
    parts = [columns.RUN, columns.TWO_CLASSES, columns.THEORY, columns.IMAGES, columns.FIGURE]
    assert all(meaning for part in parts for _, meaning in part.values())
