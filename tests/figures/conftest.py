"""Figures that a test drew are closed after it: matplotlib keeps them, and warns of it."""

import pytest

from winnow.figures import style


@pytest.fixture(autouse=True)
def closed():
    yield
    style.plt.close("all")
