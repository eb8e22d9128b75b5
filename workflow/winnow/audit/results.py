"""The results in the working directory: their files, their records, and what can be found about them."""

import hashlib
import importlib.metadata
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .records import CHECKOUT, REQUIREMENTS, RESULTS, located, record_path, sha256

UNRECORDED = ("provenance/", "logs/", "bench/", "README.md", "report.html")  # below results/, made by no step


@dataclass(frozen=True)
class Finding:
    """What was found about one file; its code is one of the exit codes."""

    code: int
    path: str
    what: str


class Records:
    """The records of results; those of the outputs of one job are one object."""

    def __init__(self):
        """Nothing is read yet."""
        self.by_path, self.by_text = {}, {}

    def get(self, path: str) -> dict | None:
        """The record of a result, or None if it is missing or is not what its run record says."""
        if path not in self.by_path:
            self.by_path[path] = self._read(Path(record_path(path)))
        return self.by_path[path]

    def _read(self, file: Path) -> dict | None:
        try:
            text = file.read_text()
            if text not in self.by_text:
                run = json.loads(file.with_name(f"{file.name.removesuffix('.json')}.run.json").read_text())
                fits = run["record"] == hashlib.sha256(text.encode()).hexdigest()
                self.by_text[text] = json.loads(text) if fits else None
            return self.by_text[text]
        except (OSError, ValueError, KeyError):
            return None


def results() -> list[str]:
    """Every file below results/ that a step wrote."""
    files = (path for path in Path(RESULTS).rglob("*") if path.is_file())
    return sorted(p.as_posix() for p in files if not p.relative_to(RESULTS).as_posix().startswith(UNRECORDED))


def environment() -> list[Finding]:
    """Installed packages that are not at the version of the lock."""
    pins = re.findall(r"^([\w-]+)==([\w.]+)", (CHECKOUT / REQUIREMENTS).read_text(), re.MULTILINE)
    findings = []
    for name, pin in pins:
        try:
            version = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        if version != pin:
            findings.append(Finding(5, REQUIREMENTS, f"{name} is {version}, the lock has {pin}"))
    return findings


def has_hash(name: str, digest: str) -> bool:
    """Whether the file of an input, as records spell it, is there with this sha256."""
    return (file := located(name)).is_file() and sha256(file) == digest


def short(value: object) -> str:
    """A value of a record in at most 60 characters."""
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
