"""`audit verify`: no computing, every hash."""

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import WinnowError
from . import records
from .records import CHECKOUT, REQUIREMENTS, RESULTS, located, sha256
from .results import Finding, Records, environment, results, short

PUBLISHED = ("figures", "claims.md", "claims.json", "scorecard.md", "scorecard.json")  # what docs/ copies


def verify(config: Path) -> list[Finding]:
    """Rehash every result and hold its record against its producers' records, the code, the lock and the settings."""
    present = results()
    records = Records()
    with ThreadPoolExecutor() as pool:  # the plan is made by a process of its own, and hashing releases the lock
        plan = pool.submit(planned, config)
        hashes = dict(zip(present, pool.map(sha256, present), strict=True))
        expected = plan.result()
    findings = environment() + _records_of(present, hashes, records)
    findings += [Finding(4, path, "missing") for path in sorted(set(expected) - set(present))]
    for path in sorted(set(expected) & set(present)):
        findings += _settings_of(path, records.get(path), expected[path])
    jobs = {id(record): (path, record) for path in present if (record := records.get(path))}
    for path, record in jobs.values():
        findings += _inputs_of(path, record, hashes, records) + _code_of(path, record)
    if Path.cwd() == CHECKOUT and config == CHECKOUT / "config.yaml":
        findings += _docs(hashes)
    return findings


def planned(config: Path) -> dict[str, list[str]]:
    """Every file that the DAG of a configuration writes, and the command line (step, arguments) that writes it."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--configfile", config]
    command += ["--forceall", "--dry-run", "--printshellcmds", "--cores", "1", "--nolock"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        raise WinnowError(f"{config}: the workflow cannot be planned:\n{run.stdout.strip()}")
    found, outputs = {}, []
    for line in map(str.strip, run.stdout.splitlines()):  # the jobs of a group are indented
        if line.startswith("output: "):
            outputs = line.removeprefix("output: ").split(", ")
        elif line.startswith("Shell command: python "):
            words = shlex.split(line.removeprefix("Shell command: "))
            redirection = words.index("2>") if "2>" in words else len(words)
            found |= dict.fromkeys(outputs, words[2:redirection])
    return found


def _records_of(present: list[str], hashes: dict[str, str], records: Records) -> list[Finding]:
    findings = []
    for path in present:
        record = records.get(path)
        if record is None or path not in record["outputs"]:
            findings.append(Finding(4, path, "its record is missing or was changed"))
        elif record["outputs"][path]["sha256"] != hashes[path]:
            findings.append(Finding(4, path, f"is not the file that `{record['step']}` wrote"))
    return findings


def _inputs_of(path: str, record: dict, hashes: dict[str, str], records: Records) -> list[Finding]:
    findings = []
    for name, known in record["inputs"].items():
        if not name.startswith(f"{RESULTS}/"):
            if (file := located(name)).is_file() and sha256(file) != known["sha256"]:
                findings.append(Finding(1, path, f"was made from another {name}"))
            continue
        producer = records.get(name)
        if name not in hashes:
            findings.append(Finding(4, path, f"its input {name} is missing"))
        elif producer and producer["outputs"].get(name, {}).get("sha256") != known["sha256"]:
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
    ours, theirs = _flat(records.parameters(record["command"])), _flat(records.parameters(command[1:]))
    changed = [key for key in sorted(ours | theirs) if ours.get(key) != theirs.get(key)]
    told = ", ".join(f"{key} {short(ours.get(key))}, now {short(theirs.get(key))}" for key in changed[:4])
    return [Finding(1, path, f"was made with other settings: {told}{' …' if len(changed) > 4 else ''}")]


def _flat(value: object, key: str = "") -> dict[str, object]:
    if isinstance(value, list) and len(value) == 1:
        return _flat(value[0], key)
    if not isinstance(value, dict):
        return {key: value}
    return {name: leaf for k, v in value.items() for name, leaf in _flat(v, f"{key}.{k}".lstrip(".")).items()}


def _docs(hashes: dict[str, str]) -> list[Finding]:
    """Copies in docs/ that are not the results."""
    copies = [p for name in PUBLISHED for p in (CHECKOUT / "docs").glob(f"{name}/*" if name == "figures" else name)]
    pairs = [
        (p.relative_to(CHECKOUT).as_posix(), f"{RESULTS}/{p.relative_to(CHECKOUT / 'docs').as_posix()}") for p in copies
    ]
    return [
        Finding(1, copy, f"is not {original} (`make publish` copies it)")
        for copy, original in pairs
        if hashes.get(original) != sha256(CHECKOUT / copy)
    ]
