"""`audit verify`: no computing, every hash."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import WinnowError
from ..inputs import sha256
from . import docs
from .plan import planned
from .records import CHECKOUT, REQUIREMENTS, RESULTS, Records, located, parameters
from .results import Finding, environment, leftovers, made_with, results, seen, short, tampered


def verify(config: Path, published: bool = True) -> tuple[list[Finding], dict[str, int]]:
    """Rehash every result and hold its record against its producers' records, the code, the lock and the settings; and
    against what was `published` of the configuration.

    Returns what was found, and how much was looked at.
    """
    present = results()
    known = Records()
    with ThreadPoolExecutor() as pool:  # the plan is made by a process of its own, and hashing releases the lock
        plan = pool.submit(planned, config)
        hashes = dict(zip(present, pool.map(sha256, present), strict=True))
    findings = environment() + [f for path, digest in hashes.items() for f in tampered(path, digest, known)]
    try:
        expected = plan.result()
    except WinnowError as error:
        expected = {}
        findings.append(Finding(6, str(config), str(error)))
    if expected:
        stale = {path for path in set(present) - set(expected) if known.digest(path) == hashes[path]}
        findings += _gone(stale, set(present) - stale, config)
        present = [path for path in present if path not in stale]
    findings += _unfinished(leftovers())
    findings += [Finding(4, path, "missing") for path in sorted(set(expected) - set(present))]
    for path in sorted(set(expected) & set(present)):
        findings += _settings_of(path, known.get(path), expected[path])
    jobs = {id(record): (path, record) for path in present if (record := known.get(path))}
    for path, record in jobs.values():
        findings += _inputs_of(path, record, hashes, known) + _code_of(path, record)
    for path in present:  # each output has a run record of its own, and one of them may be another run's
        findings += made_with(path, known.run(path)) if known.run(path) else []
    if not published:
        return findings, seen(present, known)
    intact = {path: hashes[path] for path in present if known.digest(path) == hashes[path]}
    copied, copies = docs.check(config, intact, known, expected)
    return findings + copied, seen(present, known) | {"copies": copies}


def _gone(stale: set[str], kept: set[str], config: Path) -> list[Finding]:
    """What an earlier configuration made, one line for each experiment, or for a folder of it: it is no result."""
    used = {str(folder) for path in kept for folder in Path(path).parents}
    roots = {}
    for path in sorted(stale):
        root = path
        while (parent := os.path.dirname(root)) != RESULTS and parent not in used:
            root = parent
        roots.setdefault("/".join(root.split("/")[:3]), {}).setdefault(root, None)
    return [
        Finding(1, place, _to_delete(place, list(below), os.path.relpath(config))) for place, below in roots.items()
    ]


def _to_delete(place: str, paths: list[str], config: str) -> str:
    if paths == [place]:
        return f"is not of {config}; delete it, or give its --config"
    names = short(", ".join(path.removeprefix(f"{place}/") for path in paths))
    return f"{len(paths)} files or folders in it are not of {config}; delete them, or give their --config: {names}"


def _unfinished(paths: list[str]) -> list[Finding]:
    """Harmless: the next job that writes the same file removes it or goes on from it."""
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    what = f"left unfinished by a job that was killed or still runs{more}: no result; delete it when nothing runs"
    return [Finding(0, paths[0], what)] if paths else []


def _inputs_of(path: str, record: dict, hashes: dict[str, str], known: Records) -> list[Finding]:
    findings = []
    for name, read in record["inputs"].items():
        if not name.startswith(f"{RESULTS}/"):
            if not (file := located(name)).is_file():
                findings.append(Finding(4, path, f"its input {name} is missing"))
            elif sha256(file) != read["sha256"]:
                findings.append(Finding(1, path, f"was made from another {name}"))
            continue
        if name not in hashes:
            findings.append(Finding(4, path, f"its input {name} is missing"))
        elif known.get(name) and known.digest(name) != read["sha256"]:
            findings.append(Finding(4, path, f"was made from another {name} than the one that is recorded"))
    return findings


def _code_of(path: str, record: dict) -> list[Finding]:
    findings = []
    for name, digest in record["code"].items():
        file = CHECKOUT / name
        if not file.is_file() or _tree_sha256(file) != digest:
            findings.append(Finding(1, path, f"was made by another {name}"))
    if record["requirements"] != _tree_sha256(CHECKOUT / REQUIREMENTS):
        findings.append(Finding(5, path, f"was made with another {REQUIREMENTS}"))
    return findings


def _tree_sha256(file: Path, _known={}) -> str:  # noqa: B006, files of the checkout are hashed once a process
    if file not in _known:
        _known[file] = sha256(file)
    return _known[file]


def _settings_of(path: str, record: dict | None, command: list[str]) -> list[Finding]:
    if record is None or [record["step"], *record["command"]] == command:
        return []
    ours, theirs = _flat(parameters(record["command"])), _flat(parameters(command[1:]))
    changed = [key for key in sorted(ours | theirs) if ours.get(key) != theirs.get(key)]
    told = ", ".join(f"{key} {short(ours.get(key))}, now {short(theirs.get(key))}" for key in changed[:4])
    return [Finding(1, path, f"was made with other settings: {told}{' …' if len(changed) > 4 else ''}")]


def _flat(value: object, key: str = "") -> dict[str, object]:
    if isinstance(value, list) and len(value) == 1:
        return _flat(value[0], key)
    if not isinstance(value, dict):
        return {key: value}
    return {name: leaf for k, v in value.items() for name, leaf in _flat(v, f"{key}.{k}".lstrip(".")).items()}
