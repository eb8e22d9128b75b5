"""The records of results (audit/recorder.py writes them), and what they are made of."""

import functools
import hashlib
import json
import os
import re
import struct
import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGES = Path(sysconfig.get_path("purelib")).resolve()
REQUIREMENTS = "envs/requirements.txt"
RESULTS = "results"
CPU = "cpu"
FOLDER = f"{RESULTS}/provenance"
RAW = ("double", "float", "int64", "int32", "int16", "int8")


def content(path: str | Path) -> str | None:
    """The hash of a table's contents: over its sorted columns their name, type and raw values.

    Unlike the file's own hash it survives another version of the writer. None for other kinds of files, whose bytes
    carry no version: their hash is that of their contents.
    """
    if not str(path).endswith(".parquet"):
        return None
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()  # read_table would import pandas
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(f"{name}\0".encode())
        column_hash(digest, table[name].combine_chunks())
    return digest.hexdigest()


def column_hash(digest, column) -> None:
    """Add a column's type, length and values to a hash.

    Numbers and text are taken from their buffers: pyarrow's own conversions import pandas, 0.4 s a job.
    """
    digest.update(f"{column.type}\0{len(column)}\0".encode())
    if len(column) == 0:
        return
    width = column.type.bit_width if str(column.type) in RAW else None
    if column.null_count or not (width or str(column.type) == "string"):
        digest.update(json.dumps(column.to_pylist(), default=str).encode())
    elif width:
        digest.update(_slice(column.buffers()[1], column.offset, len(column), width // 8))
    else:
        _, offsets, text = column.buffers()
        bounds = memoryview(_slice(offsets, column.offset, len(column) + 1, 4)).cast("i")
        digest.update(struct.pack(f"<{len(bounds)}i", *(bound - bounds[0] for bound in bounds)))
        digest.update(_slice(text, bounds[0], bounds[-1] - bounds[0], 1) if text else b"")


def _slice(buffer, start: int, count: int, width: int) -> bytes:
    return buffer.slice(start * width, count * width).to_pybytes() if buffer else b""


def record_path(path: str) -> str:
    """Where the record of a result lies; its run record ends in .run.json instead."""
    return f"{FOLDER}/{path.removeprefix(RESULTS + '/')}.json"


def parameters(arguments: list[str]) -> dict[str, object]:
    """The named parameters of a command line: `--seeds 0 1` is seeds: [0, 1], JSON is unpacked, no name is `""`."""
    named = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name = argument.removeprefix("--")
            named[name] = []
        else:
            named.setdefault(name, []).append(json.loads(argument) if argument.startswith(("{", "[")) else argument)
    return named


def place(path: str | Path) -> str | None:
    """A path as records spell it, so that they are the same wherever the checkout lies.

    results/… below the working directory, package:… for what an installed package ships, code:… for what lies in the
    checkout's workflow/, else relative in the working directory and as it was given outside: an absolute path holds
    wherever results are copied.
    """
    local, whole = os.path.relpath(path), os.path.realpath(path)
    if local.startswith(f"{RESULTS}/"):
        return None if local.startswith(FOLDER) else local
    if whole.startswith(f"{PACKAGES}{os.sep}"):
        return f"package:{os.path.relpath(whole, PACKAGES)}"
    if whole.startswith(f"{CHECKOUT / 'workflow'}{os.sep}"):
        return f"code:{os.path.relpath(whole, CHECKOUT)}"
    return os.fspath(path) if local.startswith(f"..{os.sep}") else local


def located(name: str) -> Path:
    """The file of an input as records spell it."""
    return PACKAGES / name.removeprefix("package:") if name.startswith("package:") else Path(name)


def lock() -> dict[str, str]:
    """The version that the lock pins each package to."""
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", (CHECKOUT / REQUIREMENTS).read_text(encoding="utf-8"), re.MULTILINE))


class Records:
    """The records of results; those of the outputs of one job are one object."""

    def __init__(self):
        """Nothing is read yet."""
        self.by_path, self.by_digest = {}, {}

    def get(self, path: str) -> dict | None:
        """The record of a result, or None if it is missing or is not what its run record says."""
        return self._pair(path)[0]

    def run(self, path: str) -> dict | None:
        """The run record of a result, or None where `get` gives None."""
        return self._pair(path)[1]

    def digest(self, path: str) -> str | None:
        """The sha256 that its record gives a result."""
        return record["outputs"].get(path, {}).get("sha256") if (record := self.get(path)) else None

    def _pair(self, path: str) -> tuple[dict | None, dict | None]:
        if path not in self.by_path:
            record, run = read(path)
            self.by_path[path] = record and self.by_digest.setdefault(run["record"], record), run
        return self.by_path[path]


def read(path: str) -> tuple[dict | None, dict | None]:
    """The record and the run record of a result, both None if one is missing, broken or of another run."""
    from .models import Run  # pydantic may not be there, which the dispatcher says (it imports this module)

    file = Path(record_path(path))
    try:
        run = json.loads(file.with_name(f"{file.name.removesuffix('.json')}.run.json").read_text(encoding="utf-8"))
        digest, record = _parsed(file.read_text(encoding="utf-8"))
        Run.model_validate(run)
    except (OSError, ValueError):  # pydantic's error is a ValueError
        return None, None
    return (record, run) if run["record"] == digest else (None, None)


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> tuple[str, dict]:
    """A record and its sha256; the outputs of one job, which are mostly read one after the other, have the same."""
    from .models import Record

    record = json.loads(text)
    Record.model_validate(record)
    return hashlib.sha256(text.encode()).hexdigest(), record
