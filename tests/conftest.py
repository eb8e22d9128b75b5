"""The compiled core, built once for all tests that train."""

import pytest

from winnow import core
from winnow.core.build import build


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("core") / "libwinnow.so"
    build(path)
    core.load(path)
    return path
