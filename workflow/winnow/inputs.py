"""What this process was given: every file that it reads and every module that it imports, as it was at that moment.

A result is put in place only while all of them are still the same (files.py), and its record names these hashes
(audit/recorder.py): what was edited or replaced under a step is credited with nothing.
"""

import contextlib
import hashlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path

from .errors import WinnowError

READ: dict[str, tuple[tuple | None, str]] = {}
"""By path as it was given: what tells one state of the file from another, and its sha256."""


def sha256(path: str | Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def used(path: str | Path) -> str | Path:
    """Note a file that is about to be read, and return it: `load(used(path))`. One that cannot be read is the reader's.

    The state is taken before the hash, and both before the file is read: what changes in between is another state.
    """
    name = os.fspath(path)
    state = _state(name)
    if state and name not in READ:
        with contextlib.suppress(OSError):
            READ[name] = state, sha256(name)
    return path


def digest(path: str | Path) -> str:
    """The sha256 of a file as it was when it was first read."""
    return READ[os.fspath(used(path))][1]


def check_unchanged() -> None:
    """Raise WinnowError if a file that was read or imported is another one now. A file that was only touched is not."""
    for name, (state, known) in READ.items():
        now = _state(name)
        if now == state:
            continue
        if now is None or sha256(name) != known:
            raise WinnowError(f"{os.path.relpath(name)} changed while this step ran: run it again")
        READ[name] = now, known


def note_modules() -> None:
    """Note the modules of this package that are imported, and from now on each one when it is imported."""
    for name, module in list(sys.modules.items()):
        if _decides(name):
            used(module.__file__)
    if _Noted not in sys.meta_path:
        sys.meta_path.insert(0, _Noted)


class _Noted:
    """A finder of this package's modules that notes their files."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if _decides(name) else None
        if spec and spec.origin:
            used(spec.origin)
            if isinstance(spec.loader, SourceFileLoader):
                spec.loader = _Source(name, spec.origin)
        return spec


class _Source(SourceFileLoader):
    """Compiles what was noted: bytecode beside it may be of another source that had its size and its time."""

    def path_stats(self, path: str) -> dict:
        """None, without which bytecode is neither taken nor written."""
        raise OSError


def _decides(name: str) -> bool:
    """Whether a module is this package's and decides results; the audit and the list of steps describe them."""
    package, *parts = name.split(".")
    return package == __name__.split(".")[0] and parts[:1] not in (["audit"], ["steps"])


def _state(path: str) -> tuple | None:
    """What changes when a file is written anew, also where its time is set back; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
