import copy
import itertools
import json
import math
import resource
import sys
import types
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import cross_entropy

from winnow import inputs as given
from winnow import randomness
from winnow.config.base import RunSettings
from winnow.errors import WinnowError
from winnow.files import write_arrays
from winnow.images import checkpoint, data, networks, pruning, training
from winnow.images.checkpoint import Progress
from winnow.images.settings import FILES, ImageData, ImageNetwork, ImagePruning, ImageSettings, Minibatch
from winnow.randomness import Stream

pytestmark = pytest.mark.usefixtures("library")


CONVOLUTIONAL = ImageNetwork(architecture="resnet", depth=8, width=3)
TABLE_1 = {"momentum": 0.9, "weight_decay": 1e-4, "rate_drops": [5], "augment": True}


def rng(seed=0):
    return Stream(seed)


def problem(n=70, seed=0):
    """Learnable images of 4 x 4 pixels: {train,test}_{images,labels} as a data file holds them."""
    generator, arrays = np.random.default_rng(seed), {}
    prototypes = generator.integers(40, 216, size=(10, 1, 4, 4))
    for split in ("train", "test"):
        labels = np.arange(n) % 10
        noise = generator.integers(-30, 31, size=(n, 1, 4, 4))
        arrays |= {f"{split}_images": (prototypes[labels] + noise).astype(np.uint8), f"{split}_labels": labels}
    return arrays


def image_settings(method="bernoulli", model=None, **training):
    return ImageSettings(
        kind="images",
        model=model or {"hidden": [12, 9]},
        pruning={"method": method},
        training={"epochs": 6, "batch_size": 16, "evaluate_every": 2} | training,
    )


def streams(seed=0):
    return {name: rng([seed, i]) for i, name in enumerate(training.STREAMS)}


def test_training_is_plain_sgd_with_the_mask_applied_after_every_step():
    arrays = problem()
    network = networks.build(ImageNetwork(hidden=[12, 9]), (1, 4, 4), 10, rng())
    masks = pruning.bernoulli(networks.prunable(network), 0.5, rng(1))
    expected = copy.deepcopy(network)
    networks.apply_masks(expected, masks)
    networks.compress(network, masks)
    pixels = {s: torch.from_numpy(arrays[f"{s}_images"] / np.float32(255)) for s in ("train", "test")}
    splits = {s: (x, torch.from_numpy(arrays[f"{s}_labels"])) for s, x in pixels.items()}

    progress = Progress()
    training.train(network, Minibatch(epochs=3, batch_size=32), splits, {"order": rng(5)}, progress)

    order, optimizer = rng(5), torch.optim.SGD(expected.parameters(), lr=0.1)
    for _ in range(3):
        permutation = order.permutation(70)
        for batch in (permutation[:32], permutation[32:64], permutation[64:]):
            optimizer.zero_grad()
            cross_entropy(expected(splits["train"][0][batch]), splits["train"][1][batch]).backward()
            optimizer.step()
            networks.apply_masks(expected, masks)
    ours, reference = networks.prunable(network), networks.prunable(expected)
    assert list(ours) == list(reference)
    for name, mask in masks.items():
        torch.testing.assert_close(ours[name], reference[name], rtol=1e-5, atol=1e-7)
        assert not ours[name][~mask].any()
    torch.testing.assert_close(network[1].bias, expected[1].bias, rtol=1e-5, atol=1e-7)
    assert [row[:2] for row in progress.rows] == [(0, 0), (3, 9)]


def test_momentum_decay_and_rate_drops_are_those_of_torch():
    how = Minibatch(epochs=4, batch_size=40, momentum=0.9, weight_decay=0.01, rate_drops=[1, 3])
    network = networks.build(CONVOLUTIONAL, (1, 4, 4), 10, rng())
    masks = pruning.bernoulli(networks.prunable(network), 0.5, rng(1))
    expected = copy.deepcopy(network)
    networks.apply_masks(expected, masks)
    networks.compress(network, masks)
    arrays = problem()
    pixels = torch.from_numpy(arrays["train_images"] / np.float32(255) - np.float32(0.5))
    splits = dict.fromkeys(("train", "test"), (pixels, torch.from_numpy(arrays["train_labels"])))
    training.train(network, how, splits, {"order": rng(5)}, Progress())

    order, optimizer = rng(5), torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], 0.1)
    for _ in range(4):
        for batch in torch.from_numpy(order.permutation(70)).split(40):
            optimizer.zero_grad()
            cross_entropy(expected(pixels[batch]), splits["train"][1][batch]).backward()
            optimizer.step()
            networks.apply_masks(expected, masks)
        schedule.step()
    for name, weight in networks.prunable(network).items():
        torch.testing.assert_close(weight, networks.prunable(expected)[name], rtol=1e-3, atol=1e-5)
        assert not weight[~masks[name]].any()
    found, wanted = network.state_dict(), expected.state_dict()
    assert any("running_mean" in name for name in found)
    for name in found.keys() & wanted.keys():
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-5)


def test_before_training_batch_norm_is_evaluated_with_the_statistics_of_the_training_set(monkeypatch):
    network = networks.build(CONVOLUTIONAL, (1, 8, 8), 10, rng())
    splits = {s: (3 * torch.randn(n, 1, 8, 8) + 1, torch.arange(n) % 10) for s, n in (("train", 30), ("test", 11))}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = training.measure(training.with_batch_statistics(network, splits["train"][0]), splits)
    assert found == training.measure(training.with_batch_statistics(network, splits["train"][0]), splits)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():  # of the whole training set as one batch, where only n or n - 1 examples tell them apart
        assert found[0] == pytest.approx(
            cross_entropy(network(splits["train"][0]), splits["train"][1]).item(), rel=0.01
        )
    network.load_state_dict(before)
    assert training.measure(network, splits)[0] > 1.2 * found[0]  # without normalisation

    monkeypatch.setattr(training, "EVALUATED", 8)
    expected = copy.deepcopy(network)
    norms = [module for module in expected.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    means = []
    for block in splits["train"][0].split([8, 8, 7, 7]):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = 1.0
        expected(block)
        means.append([norm.running_mean.clone() for norm in norms])
    measured = training.with_batch_statistics(network, splits["train"][0])
    norms = [module for module in measured.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm, parts in zip(norms, zip(*means, strict=True), strict=True):
        torch.testing.assert_close(norm.running_mean, sum(parts) / 4)


def test_the_first_row_of_a_run_is_that_of_a_normalising_network():
    result, _, _ = training.run(image_settings(model=CONVOLUTIONAL), problem(), 0, streams())
    assert result["epoch"][0] == 0
    network = networks.build(CONVOLUTIONAL, (1, 4, 4), 10, streams()["init"])
    pixels, labels = data.inputs(problem(), 0, rng()), torch.from_numpy(problem()["train_labels"])
    with torch.no_grad():
        expected = cross_entropy(network(torch.from_numpy(pixels["train"])), labels).item()
    assert result["train_loss"][0] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("changes", [{"batch_size": 23}, {"batch_size": 69}, {"batch_size": 1}])
def test_a_batch_of_one_image_that_batch_norm_cannot_take_is_told(changes):
    with pytest.raises(WinnowError, match=r"training.batch_size: leaves a batch of one image") as caught:
        training.run(image_settings(model=CONVOLUTIONAL, **changes), problem(), 0.2, streams())
    assert "\n" not in str(caught.value)


def test_a_batch_of_one_image_is_trained_on_where_feature_maps_are_larger():
    arrays = {name: np.kron(a, np.ones((1, 1, 2, 2), a.dtype)) if a.ndim == 4 else a for name, a in problem().items()}
    settings = image_settings(model=CONVOLUTIONAL, epochs=1, batch_size=69)
    assert training.run(settings, arrays, 0.2, streams())[0]["status"] == "max_steps"


def test_augmentation_shifts_and_mirrors():
    pictures = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).reshape(2, 3, 5, 6) + 1
    shift = training.SHIFT
    same, mirrored = ([shift, shift, flip] for flip in (0, 1))
    assert torch.equal(training.augmented(pictures, torch.tensor([same, same])), pictures)
    assert torch.equal(training.augmented(pictures, torch.tensor([mirrored, same]))[0], pictures[0].flip(2))
    moved = training.augmented(pictures, torch.tensor([same, [shift + 1, shift - 2, 0]]))[1]
    assert torch.equal(moved[:, :4, 2:], pictures[1, :, 1:, :4])
    assert not moved[:, 4].any()
    assert not moved[:, :, :2].any()


def test_augmentation_is_seeded_and_leaves_the_order_alone():
    plain, moved = (training.examples(streams(), 70, Minibatch(augment=a), torch.device("cpu")) for a in (False, True))
    again = training.examples(streams(), 70, Minibatch(augment=True), torch.device("cpu"))
    seen = []
    for _ in range(30):
        for (batch, none), (same, moves), (_, repeated) in zip(next(plain), next(moved), next(again), strict=True):
            assert none is None
            assert torch.equal(batch, same)
            assert torch.equal(moves, repeated)
            seen.append(moves)
    values = torch.cat(seen)
    assert [sorted(set(column.tolist())) for column in values.T] == [[*range(9)], [*range(9)], [0, 1]]
    assert not torch.equal(seen[0], seen[1])


def test_measures_are_means_over_examples():
    network = networks.build(ImageNetwork(hidden=[12]), (1, 4, 4), 10, rng())
    splits = {s: (torch.randn(n, 1, 4, 4), torch.arange(n) % 10) for s, n in (("train", 23), ("test", 7))}
    values = training.measure(network, splits, rows=5)
    for i, (inputs, labels) in enumerate(splits.values()):
        logits = network(inputs)
        assert values[2 * i] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
        assert values[2 * i + 1] == pytest.approx((logits.argmax(1) != labels).float().mean().item())


@pytest.mark.parametrize("method", ["bernoulli", "snip", "grasp", "synflow", "erk"])
def test_a_run_learns_and_keeps_pruned_weights_at_zero(method):
    result, network, masks = training.run(image_settings(method, epochs=30), problem(), 0.4, streams())
    assert result["train_loss"][-1] < 0.5 * result["train_loss"][0]
    assert result["status"] == "max_steps"
    assert result["epoch"][-1] == 30
    assert result["density"] == pruning.density(masks)
    weights = networks.prunable(network)
    assert all((weights[name] != 0).float().mean() > 0.5 * mask.float().mean() for name, mask in masks.items())


def test_the_same_seed_is_the_same_run():
    first, second = (training.run(image_settings(), problem(), 0.3, streams(4))[0] for _ in range(2))
    assert first == second
    assert first != training.run(image_settings(), problem(), 0.3, streams(5))[0]


@pytest.mark.parametrize("changes", [{}, {"model": CONVOLUTIONAL} | TABLE_1])
def test_at_fraction_0_every_method_is_the_same_run(changes):
    """Why one run is enough for all of them: scoring touches neither the network nor another stream than its own."""
    methods = get_args(ImagePruning.model_fields["method"].annotation)
    runs = {name: training.run(image_settings(name, **changes), problem(), 0.0, streams()) for name in methods}
    dense, network, masks = runs["imp"]
    assert len(methods) == 10 and all(mask.all() for mask in masks.values())
    for result, other, kept in runs.values():
        assert result == dense
        assert all(mask.all() for mask in kept.values())
        assert all(map(torch.equal, other.state_dict().values(), network.state_dict().values()))


def test_redrawn_weights_are_others_under_the_same_mask():
    def run(check, fraction):
        settings = image_settings("magnitude", epochs=1, learning_rate=1e-30)  # the weights stay where they start
        pruned = settings.pruning.model_copy(update={"check": check})
        return training.run(settings.model_copy(update={"pruning": pruned}), problem(), fraction, streams())

    (_, network, masks), (_, other, same) = (run(check, 0.5) for check in ("none", "redrawn"))
    ours, theirs = (networks.prunable(one) for one in (network, other))
    for name, mask in masks.items():
        assert torch.equal(mask, same[name])
        assert not (ours[name][mask] == theirs[name][mask]).any()
        assert torch.allclose(theirs[name][mask].std(), (2 / mask.shape[1]) ** 0.5 * torch.ones(()), rtol=0.3)
    assert run("redrawn", 0.0)[0] == run("none", 0.0)[0]  # nothing is pruned, so there is nothing to check


def test_a_run_stops_below_eps():
    result = training.run(image_settings(epochs=200, eps=0.5), problem(), 0, streams())[0]
    assert result["status"] == "converged"
    assert result["train_loss"][-1] < 0.5 <= result["train_loss"][-2]
    assert result["epoch"][-1] < 200


def test_a_diverging_run_is_a_result_with_finite_weights():
    result, network, masks = training.run(image_settings(learning_rate=1e20), problem(), 0.2, streams())
    assert result["status"] == "diverged"
    assert all(math.isfinite(value) for value in result["train_loss"])
    assert total(pruning.imp_level(networks.prunable(network), masks, 0.6)) > 0


def total(masks):
    return sum(int(mask.sum()) for mask in masks.values())


def test_an_empty_layer_is_reported():
    mask = {"1.weight": torch.zeros(12, 16), "3.weight": torch.ones(9, 12), "5.weight": torch.ones(10, 9)}
    mask = {name: value.bool() for name, value in mask.items()}
    result = training.run(image_settings("imp"), problem(), 1 - 198 / 390, streams(), imp_mask=mask)[0]
    assert result["collapsed_layers"] == 1
    assert result["connected_share"] == 0
    assert len(set(result["train_error"][1:])) <= 3


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("changes", [{}, {"model": CONVOLUTIONAL} | TABLE_1])
def test_an_interrupted_run_resumes_to_the_same_result(tmp_path, monkeypatch, capsys, changes):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    arrays, settings, path = problem(), image_settings(epochs=8, **changes), tmp_path / "seed-0.parquet"

    def saver(stop_at=None, run="this run"):
        saved = checkpoint.Checkpoint(path, {"name": run}, 8, 5)

        def attach(state, progress):
            after = saved.attach(state, progress)

            def after_epoch(progress):
                after(progress)
                if progress.epoch == stop_at:
                    raise StoppedError

            return after_epoch

        return saved, attach

    whole, network, _ = training.run(settings, arrays, 0.5, streams())
    with pytest.raises(StoppedError):
        training.run(settings, arrays, 0.5, streams(), checkpoint=saver(stop_at=5)[1])
    saved, attach = saver()
    resumed, again, _ = training.run(settings, arrays, 0.5, streams(), checkpoint=attach)
    assert "resumed after epoch 4" in capsys.readouterr().err
    assert resumed == whole
    ours, theirs = network.state_dict(), again.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    other, attach = saver(run="another run")
    assert training.run(settings, arrays, 0.5, streams(), checkpoint=attach)[0] == whole
    said = f"warning: {saved.path}: checkpoint of a run with other name, dropped: starting over\n"
    assert said in capsys.readouterr().err
    saved.path.write_bytes(b"broken")
    training.run(settings, arrays, 0.5, streams(), checkpoint=saver()[1])
    assert f"warning: {saved.path}: checkpoint broken, dropped: starting over\n" in capsys.readouterr().err
    other.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["bernoulli", "snip", "synflow", "erk"])
def test_a_convolutional_run_learns_and_keeps_pruned_weights_at_zero(method):
    settings = image_settings(method, CONVOLUTIONAL, epochs=8, momentum=0.9, weight_decay=1e-4)
    result, network, masks = training.run(settings, problem(), 0.4, streams())
    assert result["train_loss"][-1] < 0.7 * result["train_loss"][0]
    assert not any(weight[~masks[name]].any() for name, weight in networks.prunable(network).items())


@pytest.mark.parametrize(
    "model",
    [ImageNetwork(architecture="vgg"), ImageNetwork(architecture="resnet", depth=20, width=128)],
    ids=["VGG-16", "ResNet-20-128"],
)
def test_one_step_of_the_full_size_networks_on_files_of_cifar10(tmp_path, model):
    """The recipe of figures 3b and 4 from files to masks, for one batch of eight images."""
    for i, name in enumerate(itertools.chain(*FILES["cifar10"].values())):
        records = np.random.default_rng(i).integers(256, size=(4 if i == 0 else 1, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (tmp_path / name).write_bytes(records.tobytes())
    settings = image_settings("bernoulli", model, **TABLE_1 | {"rate_drops": [], "epochs": 1, "batch_size": 16})
    settings = settings.model_copy(update={"data": ImageData(source=f"cifar10:{tmp_path}")})
    result, network, masks = training.run(settings, data.draw(settings.data, rng()), 0.36, streams())
    assert result["step"] == (0, 1)
    assert result["status"] == "max_steps"
    assert result["data"] == "cifar10-part"
    assert result["density"] == pytest.approx(0.64, abs=0.001)
    start = networks.build(model, (3, 32, 32), 10, streams()["init"])
    for (name, weight), old in zip(networks.prunable(network).items(), networks.prunable(start).values(), strict=True):
        changed = weight != old
        assert changed[masks[name]].float().mean() > 0.5
        assert not weight[~masks[name]].any()


def test_a_gpu_that_is_not_there_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training.chosen_device(Minibatch(device="auto")).type == "cpu"
    with pytest.raises(WinnowError, match=r"training.device = cuda: torch finds no GPU"):
        training.chosen_device(Minibatch(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training.chosen_device(Minibatch(device="auto")).type == "cuda"
    assert training.chosen_device(Minibatch()).type == "cpu"


def test_the_log_reports_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "REPORT_SECONDS", 0)
    saved = checkpoint.Checkpoint(tmp_path / "x.parquet", {}, 6, 5)
    training.run(image_settings(), problem(), 0.5, streams(), checkpoint=saved.attach)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("epoch 1/6, step 5, train loss ")
    assert "steps/s, at most" in lines[0]


@pytest.fixture
def experiment(tmp_path, library):
    (tmp_path / "libwinnow.so").symlink_to(library)
    settings = RunSettings[ImageSettings](experiment="x", root_seed=1, settings=image_settings())
    (tmp_path / "experiment.json").write_text(settings.model_dump_json())
    for seed in (0, 1):
        write_arrays(tmp_path / f"{seed}.npz", **problem(seed=seed))
    return tmp_path


def step(folder, *arguments, method="imp", seeds=("0", "1"), out=("a", "b")):
    outs = [str(folder / f"{name}.parquet") for name in out]
    data = [str(folder / f"{seed}.npz") for seed in seeds]
    fixed = ["--settings", str(folder / "experiment.json"), "--core", str(folder / "libwinnow.so")]
    fixed += ["--set", f"method={method}", "--seeds", *seeds]
    given.READ.clear()  # as in a process of its own
    training.main([*fixed, "--data", *data, "--out", *outs, *map(str, arguments)])
    return [pq.read_table(path).to_pydict() for path in outs]


def test_levels_of_iterative_magnitude_pruning_hand_on_their_masks(experiment):
    level_1 = [experiment / f"{seed}.safetensors" for seed in (0, 1)]
    step(experiment, "--fraction", 0, "--next-fraction", 0.36, "--next-masks", *level_1)
    masks = training.read_masks(level_1[0])
    assert total(masks) == round(0.64 * (16 * 12 + 12 * 9 + 9 * 10))
    runs = step(experiment, "--fraction", 0.36, "--masks", *level_1)
    assert runs[0]["method"][0] == "imp"
    assert runs[0]["density"][0] == pytest.approx(0.64, abs=0.002)
    assert runs[0]["seed"][0] == 0
    assert runs[1]["seed"][0] == 1
    assert runs[0]["epoch"] == [0, 2, 4, 6]
    assert runs[0]["step"] == [0, 10, 20, 30]
    mixed = step(experiment, "--fraction", 0.36, "--masks", *level_1, method="shuffled_imp")
    assert mixed[0]["density"] == runs[0]["density"]
    assert mixed[0]["train_loss"] != runs[0]["train_loss"]


def test_a_run_takes_the_streams_that_its_settings_name(experiment, monkeypatch, capsys):
    monkeypatch.setattr(randomness, "DRAWN", [])
    (first,) = step(experiment, "--fraction", 0.5, method="bernoulli", **ONE)
    settings = RunSettings[ImageSettings](
        experiment="y", root_seed=1, streams="x", settings=image_settings(device="auto", augment=True)
    )
    (experiment / "experiment.json").write_text(settings.model_dump_json())
    (second,) = step(experiment, "--fraction", 0.5, method="bernoulli", **ONE)
    assert set(randomness.DRAWN) == {f"1/x/0/{stream}" for stream in training.STREAMS}
    assert (first.pop("experiment")[0], second.pop("experiment")[0]) == ("x", "y")
    assert [first[key][0] for key in ("train_loss", "density")] == [second[key][0] for key in ("train_loss", "density")]
    said = capsys.readouterr().err
    assert said.count("training.device = auto: training on the ") == 1
    assert f"training on the {'cuda' if torch.cuda.is_available() else 'cpu'}\n" in said


ONE = {"seeds": ("0",), "out": ("a",)}


def first_level(folder):
    level = ["--fraction", 0, "--next-fraction", 0.5, "--next-masks", folder / "mask.safetensors"]
    step(folder, *level, seeds=("0",), out=("dense",))


def another_mask(folder):
    masks = training.read_masks(folder / "mask.safetensors")
    training.write_masks(folder / "mask.safetensors", {name: mask.flip(0) for name, mask in masks.items()})


def other_images(folder):
    write_arrays(folder / "0.npz", **problem(seed=5))


def other_settings(folder, hidden=(12, 9)):
    settings = image_settings("imp", {"hidden": list(hidden)}, learning_rate=0.05)
    run_settings = RunSettings(experiment="x", root_seed=1, settings=settings)
    (folder / "experiment.json").write_text(run_settings.model_dump_json())


def other_layers(folder):
    other_settings(folder, hidden=[9, 12])
    first_level(folder)


def other_core(folder):
    library = (folder / "libwinnow.so").read_bytes()
    (folder / "libwinnow.so").unlink()
    (folder / "libwinnow.so").write_bytes(library + b"\0")


CHANGES = {
    another_mask: "mask",
    other_images: "data",
    other_settings: "settings",
    other_layers: "mask, settings",
    other_core: "core",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_another_run_is_named_and_dropped(experiment, monkeypatch, capsys, change):
    first_level(experiment)
    command = ["--fraction", 0.5, "--masks", experiment / "mask.safetensors"]
    save = checkpoint.Checkpoint.save

    def save_and_stop(self, progress):
        save(self, progress)
        raise StoppedError

    with monkeypatch.context() as interrupted, pytest.raises(StoppedError):
        interrupted.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
        interrupted.setattr(checkpoint.Checkpoint, "save", save_and_stop)
        step(experiment, *command, **ONE)
    saved = experiment / ".a.parquet.checkpoint"
    assert saved.is_file()
    change(experiment)
    capsys.readouterr()
    resumed = step(experiment, *command, **ONE)
    said = f"warning: {saved}: checkpoint of a run with other {CHANGES[change]}, dropped: starting over\n"
    assert said in capsys.readouterr().err
    assert not saved.exists()
    assert step(experiment, *command, **ONE | {"out": ("fresh",)}) == resumed


def test_the_code_is_part_of_a_runs_identity(experiment, monkeypatch):
    module = experiment / "extra.py"
    module.write_text("a = 1")
    monkeypatch.setitem(sys.modules, "winnow.extra", types.SimpleNamespace(__file__=str(module)))
    given.note_modules()
    first = checkpoint.identity([], {}, torch.device("cpu"))
    assert checkpoint.identity([], {}, torch.device("cpu")) == first
    module.write_text("a = 2")
    given.READ.clear()
    given.note_modules()
    second = checkpoint.identity([], {}, torch.device("cpu"))
    assert {key for key in first if first[key] != second[key]} == {"code"}


def test_a_run_goes_on_on_another_cpu(monkeypatch):
    first = checkpoint.identity([], {}, torch.device("cpu"))
    monkeypatch.setattr(torch.__config__, "show", lambda: "CPU capability usage: another one")
    assert checkpoint.identity([], {}, torch.device("cpu")) == first


def test_batches_of_seeds_do_not_change_a_byte(experiment):
    step(experiment, "--fraction", 0.5, method="snip")
    step(experiment, "--fraction", 0.5, method="snip", seeds=("1",), out=("c",))
    assert (experiment / "b.parquet").read_bytes() == (experiment / "c.parquet").read_bytes()


MASK = "mask.safetensors"  # of fraction 0.5, and of both seeds


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("imp", ["--fraction", 0.5], r"--masks: missing; imp starts at fraction 0\.5 from what"),
        ("shuffled_imp", ["--fraction", 0.5], "--masks: missing; imp starts"),
        ("imp", ["--fraction", 0.6, "--masks", MASK, MASK], r"keep 195 of 390 weights; imp keeps 156 at fraction 0\.6"),
        ("shuffled_imp", ["--fraction", 0.6, "--masks", MASK, MASK], "keep 195 of 390 weights"),
        ("imp", ["--fraction", 0.5, "--masks", MASK], "--masks: 1 files; must be one for each of the 2 seeds"),
        ("imp", ["--fraction", 0, "--masks", MASK, MASK], r"--masks: imp starts from none at fraction 0\.0"),
        ("snip", ["--fraction", 0.5, "--masks", MASK, MASK], r"--masks: snip starts from none at fraction 0\.5"),
        ("imp", ["--fraction", 0, "--next-masks", "a", "b"], "needs the one --next-fraction"),
        ("erk", ["--fraction", 0, "--next-fraction", 0.5, "--next-masks", "a", "b"], "only imp writes them"),
    ],
)
def test_a_step_by_hand_with_wrong_masks_ends_with_one_line(experiment, monkeypatch, method, arguments, message):
    first_level(experiment)
    before = {path.name for path in experiment.iterdir()}
    monkeypatch.chdir(experiment)
    with pytest.raises(WinnowError, match=message) as caught:
        step(experiment, *arguments, method=method)
    assert "\n" not in str(caught.value)
    assert {path.name for path in experiment.iterdir()} == before


def test_a_mask_of_another_network_is_told(experiment):
    first_level(experiment)
    other_settings(experiment, hidden=(9, 12))
    with pytest.raises(WinnowError, match=r"--masks: of another network: its layers are .*\(12, 16\).* must be"):
        step(experiment, "--fraction", 0.5, "--masks", experiment / MASK, **ONE)


def test_masks_that_the_disk_does_not_take_are_one_line(tmp_path):
    """safetensors has an error of its own for that, which nobody expects."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
    try:
        with pytest.raises(WinnowError, match=r"mask\.safetensors: cannot be written \(.*File too large"):
            training.write_masks(tmp_path / "mask.safetensors", {"0.weight": torch.ones(100, 100, dtype=torch.bool)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_mask_file_is_named(experiment):
    (experiment / "broken.safetensors").write_bytes(b"x")
    with pytest.raises(WinnowError, match=r"broken.safetensors: cannot be read as masks"):
        step(experiment, "--fraction", 0.5, "--masks", experiment / "broken.safetensors", seeds=("0",), out=("a",))


def test_settings_survive_the_file(experiment):
    tree = json.loads((experiment / "experiment.json").read_text())
    assert tree["settings"]["kind"] == "images"
    assert RunSettings[ImageSettings].model_validate(tree).settings == image_settings()
