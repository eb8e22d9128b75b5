"""What all tests share: the compiled core, built once, and a processor left as it was found."""

import pytest
import torch

from winnow import core
from winnow.core.build import build


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("core") / "libwinnow.so"
    build(path)
    core.load(path)
    return path


@pytest.fixture(autouse=True)
def subnormals():
    """A step that runs inside a test may flush subnormal numbers, which hypothesis refuses to work with."""
    yield
    torch.set_flush_denormal(False)
