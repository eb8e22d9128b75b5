"""Deriving a result again: from inputs wherever they lie, and what is said of a step that cannot."""

import os
import subprocess
import sys

import numpy as np
import pytest

from winnow import files
from winnow.audit import rederive
from winnow.audit.recorder import Recorder
from winnow.audit.records import CHECKOUT
from winnow.audit.trace import trace
from winnow.images.settings import FILES

DATA = "results/a/data/seed-0.npz"


def write_images(folder) -> None:
    """The four files of MNIST, of ten images each."""
    folder.mkdir()
    for images, labels in FILES["idx"].values():
        (folder / images).write_bytes(np.array([0x0803, 10, 2, 2], ">u4").tobytes() + bytes(range(40)))
        (folder / labels).write_bytes(np.array([0x0801, 10], ">u4").tobytes() + bytes(range(10)))


@pytest.mark.parametrize("place", ["data/mine", "../mine"])
def test_data_are_derived_again_from_images_in_a_relative_folder(tmp_path, monkeypatch, place):
    """And they are links of the chain: without them it is broken."""
    (tmp_path / "work/data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    images = tmp_path / "work" / place
    write_images(images)
    settings = (
        f'{{"experiment": "a", "root_seed": 1, "settings": {{"kind": "images", "data": {{"source": "idx:{place}"}}}}}}'
    )
    steps = ["settings", "--json", settings], ["images", "--settings", "results/a/experiment.json", "--seeds", "0"]
    for step, out in zip(steps, ("results/a/experiment.json", DATA), strict=True):
        subprocess.run([sys.executable, CHECKOUT / "workflow", *step, "--out", out], check=True)
    findings, _ = rederive.rederive([DATA])
    assert [(f.code, f.path, f.what) for f in findings] == [(0, DATA, "identical")]
    assert trace(DATA)["broken"] == []
    kept = sorted(f"{place}/{name}" for name in os.listdir(images))
    images.rename(tmp_path / "away")
    assert trace(DATA)["broken"] == kept


@pytest.mark.parametrize(
    ("status", "stderr", "code", "says"),
    [
        (1, "warning: x\nerror: y\n", 1, "error: y"),
        (3, "", 1, "exit status 3"),
        (-9, "", 6, "killed by signal 9"),
        (-9, "warning: x\n", 6, "killed by signal 9"),
    ],
)
def test_a_step_that_fails_says_why_and_of_one_that_was_killed_nothing_can_be_said(
    tmp_path, monkeypatch, status, stderr, code, says
):
    monkeypatch.chdir(tmp_path)
    recorder = Recorder("step", ["--out", DATA])
    files.write_arrays(DATA, x=np.ones(1))
    recorder.finish()
    run = subprocess.CompletedProcess([], status, "", stderr)
    monkeypatch.setattr(rederive, "run_again", lambda record, folder: run)
    (found,), _ = rederive.rederive([DATA])
    assert (found.code, found.what) == (code, f"cannot be derived again: {says}")
