"""The results in the working directory: their files, their records, and what can be found about them."""

import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..files import UNFINISHED
from ..inputs import sha256
from .records import REQUIREMENTS, RESULTS, Records, located, lock

UNRECORDED = ("provenance", "logs", "bench", "README.md", "report.html")  # in results/, made by no step


@dataclass(frozen=True)
class Finding:
    """What was found about one file; its code is one of the exit codes."""

    code: int
    path: str
    what: str


def results() -> list[str]:
    """Every file below results/ that a step wrote, also where a folder is a symbolic link to another disk."""
    return [path for path in _below_results() if not UNFINISHED.fullmatch(os.path.basename(path))]


def leftovers() -> list[str]:
    """Files that jobs have not finished: they were killed, or still run."""
    return [path for path in _below_results() if UNFINISHED.fullmatch(os.path.basename(path))]


def _below_results() -> list[str]:
    files = _files(RESULTS) if os.path.isdir(RESULTS) else ()
    return sorted(path for path in files if path.split("/")[1] not in UNRECORDED)


def _files(folder: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The files below a folder; a link to one of the folders that it lies in is not followed."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if os.path.isdir(path):
            yield from _files(path, (*above, here))
        elif os.path.isfile(path):
            yield path


def seen(paths: Iterable[str], records: Records) -> dict[str, int]:
    """How much an audit looked at: files below results/, records of jobs, runs of experiments."""
    paths = {path for path in paths if path.startswith(f"{RESULTS}/")}
    jobs = {id(record) for path in paths if (record := records.get(path))}
    return {"files": len(paths), "records": len(jobs), "runs": sum("/runs/" in path for path in paths)}


def devices(paths: Iterable[str], records: Records) -> list[str]:
    """What results were computed on: `cpu`, GPUs by their names."""
    return sorted({record["device"] for path in paths if (record := records.get(path))})


def environment() -> list[Finding]:
    """Installed packages that are not at the version of the lock."""
    pins = lock()
    findings = [] if pins else [Finding(5, REQUIREMENTS, "pins no package")]
    for name, pin in pins.items():
        try:
            version = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        if version != pin:
            findings.append(Finding(5, REQUIREMENTS, f"{name} is {version}, the lock has {pin}"))
    return findings


def made_with(path: str, run: dict) -> list[Finding]:
    """Packages that a result was made with, by its run record, and that are not at the version of the lock."""
    pins = lock()
    wrong = [name for name, version in run["versions"].items() if pins.get(name, version) != version.split("+")[0]]
    told = ", ".join(f"{name} {run['versions'][name]} (the lock has {pins[name]})" for name in wrong)
    return [Finding(5, path, f"was made with {told}")] if wrong else []


def tampered(path: str, digest: str, records: Records) -> list[Finding]:
    """A result, given with its sha256, that has no record or is not the file that it is of."""
    if (known := records.digest(path)) is None:
        return [Finding(4, path, "its record is missing or was changed")]
    return [Finding(4, path, f"is not the file that `{records.get(path)['step']}` wrote")] if digest != known else []


def has_hash(name: str, digest: str) -> bool:
    """Whether the file of an input, as records spell it, is there with this sha256."""
    return (file := located(name)).is_file() and sha256(file) == digest


def short(value: object) -> str:
    """A value of a record in at most 60 characters."""
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
