"""Reading and writing of every file: complete under its final name or not there at all."""

import contextlib
import functools
import json
import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import WinnowError
from .inputs import check_unchanged, sha256, used

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN: dict[str, str] = {}
"""The results that this process has written, and their sha256 as it wrote them: audit/recorder.py records them."""
HOST = re.sub(r"[^\w-]", "-", platform.node())
DIGITS = 9  # significant, of numbers that libraries compute
UNFINISHED = re.compile(r"\..+\.(tmp|checkpoint)")  # the names that files have until they are complete


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside a result; rename it when the block succeeds, remove it when it fails.

    Raises WinnowError, and puts nothing in place, if what the process has read or imported changed since: the result
    would be credited to what did not make it, or replace that of a newer run. What is checked in a moment is renamed in
    the next, so an edit in between leaves the record of the old code beside the result of the old code.
    """
    with complete(path) as temporary:
        yield temporary
        check_unchanged()
        digest = sha256(temporary)
    WRITTEN[os.fspath(path)] = digest


@contextlib.contextmanager
def complete(path: str | Path) -> Iterator[Path]:
    """As `atomic`, for what is no result of a step.

    The temporary name carries host and process, because a job that outlives a killed workflow may still be writing;
    what a dead process left of the same file is removed. Raises WinnowError where the system cannot write: a full or
    read-only disk, a folder of somebody else.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise WinnowError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what processes of this host, killed while they wrote a file, left of it."""
    for name, process in _left(path.parent):
        if name == path.name and not _alive(process):
            path.with_name(f".{name}.{HOST}.{process}.tmp").unlink(missing_ok=True)


@functools.cache  # a folder of ten thousand runs is listed once a process
def _left(folder: Path) -> list[tuple[str, int]]:
    """The temporary files in a folder that this host's processes made: of which file, by which process."""
    matches = (re.fullmatch(rf"\.(.+)\.{HOST}\.(\d+)\.tmp", name) for name in os.listdir(folder))
    return [(match[1], int(match[2])) for match in matches if match]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def rounded(value: object, digits: int = DIGITS) -> object:
    """Floating-point numbers to some significant digits: one, or those in an array, a table, or a tree as JSON has it.

    The last bits of a logarithm, of a p-value or of a fit are the processor's and the C library's. What is written, and
    what words depend on, is rounded once, so that they do not show.
    """
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, np.ndarray):
        return np.array([rounded(item, digits) for item in value.ravel().tolist()], value.dtype).reshape(value.shape)
    if isinstance(value, float | np.floating):
        return float(f"{value:.{digits - 1}e}")
    if hasattr(value, "select_dtypes"):  # a table; training jobs have no pandas
        return value.assign(**{name: rounded(value[name].to_numpy(), digits) for name in value.select_dtypes("float")})
    return value


def write_json(path: str | Path, value: object) -> None:
    """Write JSON with sorted keys, so that equal values are equal files; a number that is not finite becomes null."""
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
        )


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity, and most readers refuse them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_arrays(path: str | Path, **arrays: np.ndarray) -> None:
    """Write arrays as one npz file (dates in it are constant, so equal arrays are equal files)."""
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read an npz file without pickle. Raises WinnowError naming a missing or broken file."""
    with _named(path, "arrays"), np.load(used(path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_table(path: str | Path) -> "pa.Table":
    """Read a parquet file. Raises WinnowError naming a missing or broken one."""
    import pyarrow.parquet as pq

    with _named(path, "a table"):
        return pq.read_table(used(path), partitioning=None)


def read_json(path: str | Path) -> object:
    """Read a JSON file. Raises WinnowError naming a missing or broken file."""
    with _named(path, "JSON"):
        return json.loads(Path(used(path)).read_text(encoding="utf-8"))


def read_markdown(path: str | Path) -> str:
    """Read a page of Markdown. Raises WinnowError naming a missing or broken file."""
    with _named(path, "text"):
        return Path(used(path)).read_text(encoding="utf-8")


@contextlib.contextmanager
def _named(path: str | Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # every library raises kinds of its own for a broken file
        raise WinnowError(f"{path}: cannot be read as {kind} ({error}); delete it and run again") from None


def write_table(path: str | Path, columns: dict[str, object]) -> None:
    """Write columns of equal length (numbers, text, or lists of floats) as one parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def column(values) -> pa.Array:
        # Made from buffers, because pa.array() imports pandas (0.4 s a job) only to ask whether it was handed some.
        if isinstance(values[0], list):
            offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
            parts = [None, pa.py_buffer(offsets)]
            items = column(np.concatenate(values).astype(float))
            return pa.ListArray.from_buffers(pa.list_(pa.float64()), len(values), parts, children=[items])
        array = np.ascontiguousarray(values)
        if array.dtype.kind == "U":
            texts = [text.encode() for text in array.tolist()]
            offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
            return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))
        return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])

    with atomic(path) as temporary:
        table = pa.Table.from_arrays([column(values) for values in columns.values()], list(columns))
        pq.write_table(table, temporary)
