import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from winnow import paths
from winnow.config.load import load
from winnow.errors import WinnowError
from winnow.images import stages
from winnow.images.settings import FILES

ROOT = Path(__file__).resolve().parents[2]
IDX = list(itertools.chain(*FILES["idx"].values()))


def experiment(**changes):
    tree = {"kind": "images", "fractions": [0.36, 0, 0.9], "seeds": 4} | changes
    return load({"experiments": {"x": tree}, "figures": []}).experiments["x"]


def test_methods_at_initialization_are_one_stage_and_the_dense_network_another():
    chosen = experiment(axes={"method": ["bernoulli", "snip"], "sigma": [0, 1]})
    dense, start = chosen.stages("x")
    assert (dense.name, start.name) == ("dense", "start")
    assert dense.run == "results/x/runs/method-bernoulli/sigma-{sigma}/fraction-0/seed-{seed}.parquet"
    assert start.run == "results/x/runs/method-{method}/sigma-{sigma}/fraction-{fraction}/seed-{seed}.parquet"
    assert start.masks == start.next_masks == dense.next_masks == []
    assert (start.constraints["method"], start.constraints["fraction"]) == ("bernoulli|snip", r"0\.36|0\.9")
    assert chosen.dense_run("x", "snip") == dense.run.replace("bernoulli", "snip")


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({"axes": {"method": ["snip", "imp", "erk"]}}, ["imp", "snip", "erk"]),
        ({"axes": {"method": ["snip", "erk"]}}, ["snip", "erk"]),
        ({"axes": {"method": ["snip", "erk"]}, "fractions": [0.5]}, []),
        ({"axes": {"sigma": [0, 1]}}, []),
    ],
)
def test_the_dense_network_is_trained_as_one_method(changes, shared):
    assert experiment(**changes).shared == shared


def test_methods_that_are_never_dense_share_nothing():
    (start,) = experiment(axes={"method": ["snip", "erk"]}, fractions=[0.5, 0.8]).stages("x")
    assert (start.name, start.constraints["fraction"]) == ("start", r"0\.5|0\.8")


def test_levels_of_imp_are_chained_by_their_masks():
    first, second, third = experiment(axes={"method": ["imp"]}).stages("x")
    assert first.run == "results/x/runs/method-imp/fraction-0/seed-{seed}.parquet"
    assert first.masks == []
    assert first.next_fraction == ["0.36"]
    assert first.next_masks == second.masks == ["results/x/masks/method-imp/fraction-0.36/seed-{seed}.safetensors"]
    assert second.point == {"method": "imp"}
    assert third.masks == second.next_masks
    assert (first.below, second.below, third.below) == ([], [first.run], [second.run])
    assert third.next_masks == third.next_fraction == []


def test_imp_without_an_axis_is_chained_too():
    stages = experiment(pruning={"method": "imp"}).stages("x")
    assert stages[0].next_masks == ["results/x/masks/fraction-0.36/seed-{seed}.safetensors"]
    assert stages[1].run == "results/x/runs/fraction-0.36/seed-{seed}.parquet"


def test_shuffles_read_the_masks_of_imp():
    stages = {stage.name: stage for stage in experiment(axes={"method": ["imp", "shuffled_imp"]}).stages("x")}
    assert sorted(stages) == ["imp_0", "imp_1", "imp_2", "shuffled_1", "shuffled_2"]
    assert stages["shuffled_2"].masks == stages["imp_2"].masks == stages["imp_1"].next_masks
    assert stages["shuffled_2"].next_masks == []
    assert stages["shuffled_2"].constraints["fraction"] == r"0\.9"


CHECKED = {"method": ["imp", "grasp"], "check": ["none", "shuffled", "redrawn", "inverted"]}


def test_checks_of_imp_take_its_masks_and_inverted_scores_make_their_own():
    stages = {stage.name: stage for stage in experiment(axes=CHECKED).stages("x")}
    assert sorted(stages) == ["checked_0", "checked_1", "checked_2", "imp_0", "imp_1", "imp_2", "start"]
    own, taken = stages["imp_1"], stages["checked_1"]
    assert (own.constraints["check"], taken.constraints["check"]) == ("none|inverted", "shuffled|redrawn")
    assert own.masks == ["results/x/masks/method-imp/check-{check}/fraction-0.36/seed-{seed}.safetensors"]
    assert taken.masks == [own.masks[0].replace("{check}", "none")] and taken.next_masks == []
    assert taken.below == ["results/x/runs/method-imp/check-none/fraction-0/seed-{seed}.parquet"]
    assert stages["checked_0"].masks == stages["checked_0"].next_masks == []
    with pytest.raises(WinnowError, match=r"imp's own masks are what is checked; allowed: none and others"):
        experiment(axes=CHECKED | {"check": ["shuffled"]})


@pytest.mark.parametrize("axes", [{"method": ["imp", "shuffled_imp", "erk", "grasp"], "sigma": [0, 0.5]}, CHECKED])
def test_every_run_of_the_grid_is_made_by_exactly_one_stage(axes):
    chosen = experiment(axes=axes)
    copies = {chosen.dense_run("x", method) for method in chosen.shared[1:]}
    for point in chosen.points():
        for fraction in chosen.grid["fraction"]:
            wanted = point | {"fraction": fraction}
            makers = [
                stage.name
                for stage in chosen.stages("x")
                if all(value in stage.constraints[key].replace("\\", "").split("|") for key, value in wanted.items())
            ]
            run = paths.run("x", list(chosen.axes)).format(**wanted, seed="{seed}")
            copied = run in {path.format(**wanted, seed="{seed}") for path in copies}
            assert len(makers) + copied == 1, wanted


def test_the_files_of_a_folder_are_inputs_as_far_as_they_are_there(tmp_path):
    for source, names in (("idx", IDX), ("cifar10", list(itertools.chain(*FILES["cifar10"].values())))):
        chosen = experiment(data={"source": f"{source}:{tmp_path}"})
        assert chosen.data_files == {}
        (tmp_path / names[0]).write_text("a")
        (tmp_path / f"{names[1]}.gz").write_text("b")
        known = {names[0]: "a", f"{names[1]}.gz": "b"}
        assert chosen.data_files == {
            f"{tmp_path}/{name}": hashlib.sha256(text.encode()).hexdigest() for name, text in known.items()
        }
    assert experiment(data={"source": "mnist"}).data_files == experiment().data_files == {}


def test_images_that_are_replaced_make_the_data_anew(tmp_path):
    """By older files, too, as they come out of an archive. Missing ones are told by the job."""
    folder, target = tmp_path / "my images", "results/x/data/seed-0.npz"
    folder.mkdir()
    tree = {"kind": "images", "data": {"source": "idx:my images"}, "fractions": [0.5], "seeds": 1}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"experiments": {"x": tree}, "figures": []}))

    def said() -> str:
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", target]
        command += ["--configfile", "a.yaml"]
        return subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def write(label: int) -> None:
        for name in IDX:
            images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 1, 2)) + bytes([9, 1, 2, label])
            labels = b"\0\0\x08\x01" + (2).to_bytes(4, "big") + bytes([1, label])
            (folder / name).write_bytes(images if "images" in name else labels)
            os.utime(folder / name, (1e9, 1e9))

    assert f"my images/{IDX[0]}: cannot be read (No such file or directory)" in (output := said())
    assert "Traceback" not in output
    write(3)
    assert "100%" in said()
    before = (tmp_path / target).read_bytes()
    assert "Nothing to be done" in said()
    write(4)
    assert "100%" in said()
    assert (tmp_path / target).read_bytes() != before


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
@pytest.mark.parametrize("tool", [False, True])
def test_a_job_asks_for_a_gpu_only_if_it_will_use_one(monkeypatch, tmp_path, device, tool):
    """A tool of the driver is no GPU: torch says what it finds, as in the job."""
    if tool:
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    else:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    stages.torch_finds_a_gpu.cache_clear()
    used = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    assert experiment(training={"device": device}).resources.get("gpu") == (1 if used else None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fractions": [0.2, 0.5], "pruning": {"method": "imp"}}, "imp starts from the dense network"),
        ({"axes": {"method": ["shuffled_imp"]}}, "shuffles the masks of imp"),
        ({"pruning": {"method": "magic"}}, r"experiments.x.pruning.method = \"magic\": Input should be 'bernoulli'"),
        ({"data": {"source": "cifar"}}, "experiments.x.data.source"),
        ({"data": {"sigma": -1}}, "experiments.x.data.sigma = -1"),
        ({"data": {"source": "cifar10:"}}, "experiments.x.data.source"),
        (
            {"training": {"nesterov": True}},
            "experiments.x.training.nesterov = true: unknown key; allowed: learning_rate",
        ),
        ({"training": {"momentum": 1}}, "experiments.x.training.momentum = 1: .* less than 1"),
        ({"training": {"epochs": 4, "rate_drops": [2, 4]}}, "rate_drops: 4 never comes in 4 epochs; .* below epochs"),
        ({"training": {"rate_drops": [10, 10]}}, "training.rate_drops = .*: 10 is listed twice"),
        ({"axes": {"epochs": [9, 20]}, "training": {"rate_drops": [9]}}, "rate_drops: 9 never comes in 9 epochs"),
        ({"axes": {"device": ["cpu", "cuda"]}}, "axes.device: cannot be swept"),
        ({"training": {"device": "gpu"}}, "experiments.x.training.device = .*'cpu', 'auto' or 'cuda'"),
        ({"model": {"architecture": "vgg", "depth": 12}}, "depth: 12 is no vgg; allowed: 11, 13, 16, 19"),
        ({"model": {"architecture": "resnet"}}, "depth: 16 is no resnet; allowed: 6 n \\+ 2"),
        ({"model": {"hidden": []}}, "experiments.x.model.hidden"),
        ({"kind": "sound"}, "'two_layer', 'images'"),
    ],
)
def test_mistakes_are_one_clear_line(changes, message):
    with pytest.raises(WinnowError, match=message) as caught:
        experiment(**changes)
    assert "\n" not in str(caught.value)
