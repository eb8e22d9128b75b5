"""The step `audit`: checks results against their records, and derives any of them again.

Exit codes: 0 identical; 1 drift: code or settings are not those that made the results, or a result derived again
differs; 2 usage; 3 differs within the measured tolerance, in another numerics class; 4 tampered, missing or broken
chain; 5 the environment differs from the lock.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import WinnowError
from . import records
from .records import CHECKOUT, REQUIREMENTS, RESULTS, located, record_path, sha256

MEANING = {
    0: "identical",
    1: "drift",
    3: "within tolerance in another numerics class",
    4: "tampered, missing or broken chain",
    5: "environment differs from the lock",
}
WORST_LAST = (0, 3, 5, 1, 4)
UNRECORDED = ("provenance/", "logs/", "bench/", "README.md", "report.html")  # below results/, made by no step
TOLERANCE = CHECKOUT / "workflow/tolerance.json"
PUBLISHED = ("figures", "claims.md", "claims.json", "scorecard.md", "scorecard.json")  # what docs/ copies


@dataclass(frozen=True)
class Finding:
    """What was found about one file; its code is one of the exit codes."""

    code: int
    path: str
    what: str


# --- verify: no computing, every hash


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
    told = ", ".join(f"{key} {_short(ours.get(key))}, now {_short(theirs.get(key))}" for key in changed[:4])
    return [Finding(1, path, f"was made with other settings: {told}{' …' if len(changed) > 4 else ''}")]


def _flat(value: object, key: str = "") -> dict[str, object]:
    if isinstance(value, list) and len(value) == 1:
        return _flat(value[0], key)
    if not isinstance(value, dict):
        return {key: value}
    return {name: leaf for k, v in value.items() for name, leaf in _flat(v, f"{key}.{k}".lstrip(".")).items()}


def _short(value: object) -> str:
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


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


# --- rederive: run the recorded step again, from hash-checked inputs


def rederive(path: str) -> list[Finding]:
    """Run the step that wrote a result again in a temporary folder, and compare everything that it writes."""
    records = Records()
    record = records.get(path)
    if not os.path.isfile(path):
        return [Finding(4, path, "missing")]
    if record is None or path not in record["outputs"]:
        return [Finding(4, path, "its record is missing or was changed")]
    if sha256(path) != record["outputs"][path]["sha256"]:
        return [Finding(4, path, f"is not the file that `{record['step']}` wrote")]
    if findings := environment():
        return findings
    broken = [name for name, known in record["inputs"].items() if not _has_hash(name, known["sha256"])]
    if broken:
        return [Finding(4, path, f"its input {name} is missing or was changed") for name in broken]
    with tempfile.TemporaryDirectory() as folder:
        run = run_again(record, Path(folder))
        if run.returncode:
            return [Finding(1, path, f"cannot be derived again: {run.stderr.strip().splitlines()[-1]}")]
        return compare(record, Path(folder))


def _has_hash(name: str, digest: str) -> bool:
    return (file := located(name)).is_file() and sha256(file) == digest


def run_again(record: dict, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a recorded step in a folder that holds links to its inputs and nothing else."""
    for name in record["inputs"]:
        if name.startswith(f"{RESULTS}/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(os.path.abspath(name))
    command = [sys.executable, CHECKOUT / "workflow", record["step"], *record["command"]]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=os.environ | threads | environment, capture_output=True, text=True)


def compare(record: dict, folder: Path) -> list[Finding]:
    """Every output of a job against what the same job wrote into another folder."""
    first = next(iter(record["outputs"]))
    again = json.loads((folder / record_path(first)).read_text())
    same_class = all(again["numerics"].get(k) == v for k, v in record["numerics"].items())
    allowed = json.loads(TOLERANCE.read_text())["steps"].get(record["step"], {})
    findings, tables = [], []
    for path, known in record["outputs"].items():
        new = again["outputs"].get(path)
        if new == known:
            findings.append(Finding(0, path, "identical"))
        elif new and "content" in known and new["content"] == known["content"]:
            findings.append(Finding(0, path, "identical contents"))
        elif path.endswith(".parquet"):
            distances = difference(path, folder / path)
            beyond = [column for column, far in distances.items() if same_class or not far <= allowed.get(column, 0)]
            told = ", ".join(f"{column} by {far:.3g}" for column, far in distances.items())
            tables.append(Finding(1 if beyond else 3, path, f"differs: {told}"))
        elif path.endswith(".json") and not same_class and words(path) == words(folder / path):
            findings.append(Finding(3, path, "differs in its numbers, with the same verdicts"))
        else:
            findings.append(Finding(1, path, "differs"))
    # A picture has no tolerance of its own: in another class it is as good as the numbers that its job wrote.
    excused = not same_class and tables and all(finding.code == 3 for finding in tables)
    return tables + [Finding(3, f.path, f.what) if f.code == 1 and excused else f for f in findings]


def words(path: str | Path) -> object:
    """A JSON file without its numbers: the verdicts that must not depend on the numerics class."""

    def stripped(value):
        if isinstance(value, dict):
            return {key: stripped(v) for key, v in value.items()}
        if isinstance(value, list):
            return [stripped(v) for v in value]
        return re.sub(r"[-+]?[0-9.]+(e-?[0-9]+)?", "#", value) if isinstance(value, str) else type(value).__name__

    return stripped(json.loads(Path(path).read_text()))


def difference(ours: str | Path, theirs: str | Path) -> dict[str, float]:
    """How far two tables are apart, by column: the largest absolute difference; infinite where they are no numbers."""
    import numpy as np
    import pyarrow.parquet as pq

    a, b = (pq.read_table(path, partitioning=None) for path in (ours, theirs))
    if a.schema.types != b.schema.types or a.column_names != b.column_names or a.num_rows != b.num_rows:
        return {"shape": float("inf")}
    found = {}
    for name in a.column_names:
        if not a[name].equals(b[name]):
            x, y = a[name].to_numpy(), b[name].to_numpy()
            numbers = x.dtype.kind in "if" and y.dtype.kind in "if"
            if numbers and np.array_equal(np.isnan(x.astype(float)), np.isnan(y.astype(float))):
                found[name] = float(np.nanmax(np.abs(x.astype(float) - y.astype(float)), initial=0))
            else:
                found[name] = float("inf")
    return {name: far for name, far in found.items() if far}  # NaN is equal to itself


def sample(n: int, seed: int) -> list[Finding]:
    """Derive n results again, drawn from all of them with a seed."""
    files = results()
    chosen = random.Random(seed).sample(files, min(n, len(files)))
    return [finding for path in chosen for finding in rederive(path)]


# --- trace: where a file comes from


def trace(path: str) -> dict:
    """The chain of a result: every file it was made from with its step, parameters and streams, nearest first.

    `points` lists the drawn points of a figure with the runs that each one is made of; `broken` lists what is missing,
    does not fit the record of the step that read it, or is named by a point without being in the chain.
    """
    records, chain, broken, queue = Records(), [], set(), [(path, None)]
    seen, intact = set(), functools.cache(_has_hash)
    while queue:
        name, digest = queue.pop(0)
        record = records.get(name) if name.startswith(f"{RESULTS}/") else None
        known = (record or {}).get("outputs", {}).get(name, {}).get("sha256")
        ours = name.startswith(f"{RESULTS}/")
        if (ours and (known is None or digest not in (None, known))) or not intact(name, known or digest):
            broken.add(name)
        if name in seen:
            continue
        seen.add(name)
        if record is None:
            chain.append({"path": name, "sha256": digest, "step": None, "inputs": []})
            continue
        keys = ("step", "parameters", "streams", "code")
        chain.append({"path": name, "sha256": known, "inputs": sorted(record["inputs"])} | {k: record[k] for k in keys})
        queue += [(source, entry["sha256"]) for source, entry in record["inputs"].items()]
    points = _points(path, records)
    broken |= {run for point in points for run in point["runs"]} - seen
    return {"file": path, "chain": chain, "points": points, "broken": sorted(broken)}


def _points(path: str, records: Records) -> list[dict]:
    """The points of a figure that are made of runs, with these runs' files; the paper's are not."""
    tables = [name for name in (records.get(path) or {}).get("outputs", {}) if name.endswith(".data.parquet")]
    if not tables or not os.path.isfile(tables[0]):
        return []
    import pyarrow.parquet as pq

    return [row for row in pq.read_table(tables[0]).to_pylist() if row.get("runs")]


# --- the command line


def show(findings: list[Finding], as_json: bool) -> int:
    """Print findings as a table or as JSON; return the exit code."""
    code = max((f.code for f in findings), key=WORST_LAST.index, default=0)
    if as_json:
        print(json.dumps({"code": code, "verdict": MEANING[code], "findings": [asdict(f) for f in findings]}, indent=1))
        return code
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("code", "file", "finding")
    for finding in sorted(findings, key=lambda f: -WORST_LAST.index(f.code))[:40]:
        table.add_row(str(finding.code), escape(finding.path), escape(finding.what))
    console = Console(width=None if sys.stdout.isatty() else 160)
    if findings:
        console.print(table)
    if len(findings) > 40:
        console.print(f"… and {len(findings) - 40} more (--json lists all)")
    console.print(f"{MEANING[code]} (exit code {code})", style="green" if code == 0 else "red", markup=False)
    return code


def show_trace(found: dict, as_json: bool) -> int:
    """Print a chain as a tree or as JSON; return the exit code."""
    if as_json:
        print(json.dumps(found, indent=1))
        return 4 if found["broken"] else 0
    from rich.console import Console
    from rich.tree import Tree

    entries = {entry["path"]: entry for entry in found["chain"]}
    shown = set()

    def grow(tree: Tree, path: str) -> None:
        entry = entries[path]
        branch = tree.add(_label(entry, path in found["broken"]))
        groups = {} if path in shown else _alike(entry["inputs"])
        shown.add(path)
        for names in groups.values():
            grow(branch, names[0])
            if len(names) > 1:
                branch.add(f"… and {len(names) - 1} more like it, to {names[-1]}")

    root = Tree("made from", hide_root=True)
    grow(root, found["file"])
    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
    console.print(root)
    for point in found["points"]:
        label = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in point.items() if k != "runs")
        console.print(f"{label}: {len(point['runs'])} runs, {point['runs'][0]} …")
    for name in found["broken"]:
        console.print(f"broken: {name}", style="red")
    return 4 if found["broken"] else 0


def _label(entry: dict, broken: bool) -> str:
    text = entry["path"] + (" BROKEN" if broken else "")
    if entry["step"]:
        values = {k: v[0] if len(v) == 1 else v for k, v in entry["parameters"].items() if v}
        told = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        streams = f"; streams {_short(' '.join(entry['streams']))}" if entry["streams"] else ""
        text += f"  <- {entry['step']}({told}){streams}"
    return text


def _alike(paths: list[str]) -> dict[str, list[str]]:
    """Files grouped by their path without its values, in order."""
    groups = {}
    for path in paths:
        groups.setdefault(re.sub(r"-[^/]+?(?=/|\.[a-z]+$)", "-*", path), []).append(path)
    return groups


def main(arguments: list[str]) -> int:
    """Check results against their records, derive them again, or show where they come from."""
    from . import crate, golden, tolerance

    parser = argparse.ArgumentParser(prog="python workflow audit", description=main.__doc__, epilog=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="for machines")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("verify", parents=[shared], help="rehash everything, check every link, compute nothing")
    one.add_argument("--config", type=Path, default=CHECKOUT / "config.yaml", help="the configuration that was run")
    one = commands.add_parser("rederive", parents=[shared], help="run one result's step again and compare")
    one.add_argument("file")
    one = commands.add_parser("trace", parents=[shared], help="the chain of a file down to seeds and data")
    one.add_argument("file")
    one = commands.add_parser("golden", parents=[shared], help="compare with the values of config/ci.yaml kept in git")
    one.add_argument("--update", action="store_true", help="take the values of this run from now on; review the change")
    one = commands.add_parser("tolerance", help="measure how far results may be off in another numerics class")
    one.add_argument("--seed", type=int, default=0, help="which jobs")
    one = commands.add_parser("export", help="write results, code and history as a Workflow Run RO-Crate")
    one.add_argument("folder", type=Path, help="a new folder")
    one.add_argument("--config", type=Path, default=CHECKOUT / "config.yaml", help="the configuration that was run")
    one = commands.add_parser("sample", parents=[shared], help="derive some results again")
    one.add_argument("n", type=int)
    one.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args(arguments)
    if "config" in options and not options.config.is_file():
        parser.error(f"{options.config} is no file")
    if options.command == "export":
        return crate.export(options.folder, options.config.resolve())
    if options.command == "verify":
        return show(verify(options.config.resolve()), options.json)
    if options.command == "tolerance":
        return tolerance.update(options.seed)
    if options.command == "golden":
        return golden.update() if options.update else show(golden.check(), options.json)
    if options.command == "sample":
        return show(sample(options.n, options.seed), options.json)
    path = os.path.relpath(options.file)
    if not path.startswith(f"{RESULTS}/"):
        parser.error(f"{options.file} is no file below {RESULTS}/ of the working directory")
    if options.command == "rederive":
        return show(rederive(path), options.json)
    return show_trace(trace(path), options.json)
