"""`audit trace`: where a file comes from."""

import functools
import json
import os
import re
import sys

from .compare import rows
from .records import RESULTS, Records
from .results import has_hash, seen, short


def trace(path: str) -> dict:
    """The chain of a result: every file it was made from with its step, parameters and streams, nearest first.

    `looked_at` counts the results among them that are there; `points` lists the drawn points of a figure with the runs
    that each one is made of; `broken` lists what is missing, does not fit the record of the step that read it, or is
    named by a point without being in the chain; the numbers of a figure are read only if they are those of its record.
    """
    records, chain, broken, queue = Records(), [], set(), [(path, None)]
    met, intact = set(), functools.cache(has_hash)
    while queue:
        name, digest = queue.pop(0)
        ours = name.startswith(f"{RESULTS}/")
        record, known = (records.get(name), records.digest(name)) if ours else (None, None)
        if (ours and (known is None or digest not in (None, known))) or not intact(name, known or digest):
            broken.add(name)
        if name in met:
            continue
        met.add(name)
        if record is None:
            chain.append({"path": name, "sha256": digest, "step": None, "inputs": []})
            continue
        keys = ("step", "parameters", "streams", "code")
        chain.append({"path": name, "sha256": known, "inputs": sorted(record["inputs"])} | {k: record[k] for k in keys})
        queue += [(source, entry["sha256"]) for source, entry in record["inputs"].items()]
    drawn = [name for name in (records.get(path) or {}).get("outputs", {}) if name.endswith(".data.parquet")]
    broken |= {name for name in drawn if not intact(name, records.digest(name))}
    points = [point for name in drawn if name not in broken for point in _points(name)]
    broken |= {run for point in points for run in point["runs"]} - met
    looked_at = seen(filter(os.path.isfile, met), records)
    return {"file": path, "looked_at": looked_at, "chain": chain, "points": points, "broken": sorted(broken)}


def _points(table: str) -> list[dict]:
    """The points of a figure, from its numbers, that are made of runs, with these runs' files; the paper's are not."""
    return [row for row in rows(table) if row.get("runs")]


def show_trace(traced: dict, as_json: bool) -> int:
    """Print a chain as a tree or as JSON; return the exit code."""
    if as_json:
        print(json.dumps(traced, indent=1))
        return 4 if traced["broken"] else 0
    from rich.console import Console
    from rich.tree import Tree

    entries = {entry["path"]: entry for entry in traced["chain"]}
    shown = set()

    def grow(tree: Tree, path: str) -> None:
        entry = entries[path]
        branch = tree.add(_label(entry, path in traced["broken"]))
        groups = {} if path in shown else _alike(entry["inputs"])
        shown.add(path)
        for names in groups.values():
            grow(branch, names[0])
            if len(names) > 1:
                branch.add(f"… and {len(names) - 1} more like it, to {names[-1]}")

    root = Tree("made from", hide_root=True)
    grow(root, traced["file"])
    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
    console.print(root)
    for point in traced["points"]:
        label = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in point.items() if k != "runs")
        console.print(f"{label}: {len(point['runs'])} runs, {point['runs'][0]} …")
    for name in traced["broken"]:
        console.print(f"broken: {name}", style="red")
    if not traced["looked_at"]["files"]:
        console.print(f"there is no {traced['file']} here: was it made, and does {RESULTS}/ lie in this folder?")
    console.print("looked at " + ", ".join(f"{n:,} {what}" for what, n in traced["looked_at"].items()))
    return 4 if traced["broken"] else 0


def _label(entry: dict, broken: bool) -> str:
    text = entry["path"] + (" BROKEN" if broken else "")
    if entry["step"]:
        values = {k: v[0] if len(v) == 1 else v for k, v in entry["parameters"].items() if v}
        told = ", ".join(f"{key} {short(value)}" for key, value in values.items())
        streams = f"; streams {short(' '.join(entry['streams']))}" if entry["streams"] else ""
        text += f"  <- {entry['step']}({told}){streams}"
    return text


def _alike(paths: list[str]) -> dict[str, list[str]]:
    """Files grouped by their path without its values, in order."""
    groups = {}
    for path in paths:
        groups.setdefault(re.sub(r"-[^/]+?(?=/|\.[a-z]+$)", "-*", path), []).append(path)
    return groups
