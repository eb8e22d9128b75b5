"""Every test of the core needs it loaded."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def loaded(library):
    return library
