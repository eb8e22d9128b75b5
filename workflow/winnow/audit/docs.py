"""The copies in docs/, which a reader sees without running anything: `audit publish` makes, `audit verify` checks them.

Every configuration has its own folder of copies and knows nothing of the others'. Beside the copies lies what a run on
another processor is held against: the numbers of every figure, and in published.json the numerics class and the plan of
the run, where and when it was made, and the sha256 of every copy.
"""

import hashlib
import json
import shutil
from pathlib import Path

from ..errors import WinnowError
from ..files import write_json
from .compare import allowed, verdicts
from .plan import planned
from .records import CHECKOUT, RESULTS, sha256
from .results import Finding, Records, classes

COPIED = ("figures/*.svg", "figures/*.data.parquet", "claims.*", "scorecard.*", "calibration.*")
PUBLISHED = "published.json"


def place(config: Path) -> str | None:
    """The folder that a configuration is published in: docs for config.yaml, docs/<name> for config/<name>.yaml.

    None for one that lies elsewhere: it is nobody's but its user's.
    """
    if config == CHECKOUT / "config.yaml":
        return "docs"
    return f"docs/{config.stem}" if config.parent == CHECKOUT / "config" else None


def publish(config: Path) -> None:
    """Copy the figures, their numbers, claims, scorecard and calibration of a run into its configuration's folder.

    Raises WinnowError where not every result is what a job of that configuration wrote, and where it has no folder.
    """
    if (docs := place(config)) is None:
        raise WinnowError(f"{config} is not published: only config.yaml and what lies in config/ have a place in docs/")
    plan, records = planned(config), Records()
    copied = sorted(path for path in plan if any(Path(path).match(f"{RESULTS}/{name}") for name in COPIED))
    if not copied:
        raise WinnowError(f"nothing to publish: {config} draws no figure and judges nothing")
    for path, command in plan.items():
        record = records.get(path)
        whole = Path(path).is_file() and record and [record["step"], *record["command"]] == command
        if not whole or (path in copied and not _wrote(record, path, sha256(path))):
            raise WinnowError(f"{path} is not what a job of {config} wrote: `audit verify` tells more")
    copies = {_name(path): path for path in copied}
    for name, copy in _copies(docs).items():
        if name not in copies:
            copy.unlink()
    for name, path in copies.items():
        copy = CHECKOUT / docs / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    run = {"numerics": classes(plan, records), "plan": _hash(plan)} | _made(plan, records)
    files = {name: sha256(CHECKOUT / docs / name) for name in copies}
    write_json(CHECKOUT / docs / PUBLISHED, run | {"files": files})
    print(f"{docs}: {len(copies)} files")


def check(
    config: Path, hashes: dict[str, str], records: Records, plan: dict[str, list[str]]
) -> tuple[list[Finding], int]:
    """Copies of a configuration that are not the results (given with their sha256) and do not differ as they may.

    Where the results were made in another numerics class, copies may be those of the run that was published. Returns
    what was found, and at how many copies was looked.
    """
    docs = place(config)
    copies = _copies(docs) if docs else {}
    published = _published(docs) if docs else {}
    if plan and (copies or published) and published.get("plan") != _hash(plan):
        what = "is missing, or of another run than this configuration's (`make publish` renews it with its copies)"
        return [Finding(1, f"{docs}/{PUBLISHED}", what)], len(copies)
    known = published.get("files", {})
    findings, jobs = [Finding(4, f"{docs}/{name}", "is missing") for name in sorted(set(known) - set(copies))], {}
    for name, copy in copies.items():
        path, told, digest = f"{RESULTS}/{name}", f"{docs}/{name}", sha256(copy)
        if path not in hashes:
            findings.append(Finding(1, told, "is no result of this run"))
        elif digest not in (hashes[path], known.get(name)):
            findings.append(Finding(1, told, f"is neither {path} nor what `make publish` copied"))
        elif _wrote(records.get(path), path, hashes[path]):  # else it is reported as tampered
            jobs.setdefault(id(records.get(path)), {})[told] = (copy, path)
    same_class = published.get("numerics") == classes(hashes, records)
    for pairs in jobs.values():
        findings += _differing(pairs, same_class, records)
    return findings, len(copies)


def _differing(pairs: dict[str, tuple[Path, str]], same_class: bool, records: Records) -> list[Finding]:
    """The copies of one job's results, given with these, that are not the same."""
    path = next(path for _, path in pairs.values())
    may = None if same_class else allowed(path, records.get(path), records)
    found = [finding for finding in verdicts(pairs, may) if finding.code]
    return [Finding(f.code, f.path, f"against {pairs[f.path][1]}: {f.what}") for f in found]


def _copies(docs: str) -> dict[str, Path]:
    """What lies in a folder that `make publish` may have put there, by its name in it."""
    folder = CHECKOUT / docs
    return {file.relative_to(folder).as_posix(): file for name in COPIED for file in sorted(folder.glob(name))}


def _published(docs: str) -> dict:
    try:
        return {} | json.loads((CHECKOUT / docs / PUBLISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # whatever stands in a damaged file
        return {}


def _made(paths: dict, records: Records) -> dict[str, object]:
    """When results were made, on which processors, and by which commits (`-dirty`: files differed from it)."""
    runs = [records.run(path) for path in paths]
    return {
        "start": min(run["start"] for run in runs),
        "end": max(run["end"] for run in runs),
        "processors": sorted({run["cpu"]["name"] for run in runs}),
        "commits": sorted({run["commit"] or "unknown: no git" for run in runs}),
    }


def _wrote(record: dict | None, path: str, digest: str) -> bool:
    return bool(record) and record["outputs"].get(path, {}).get("sha256") == digest


def _name(path: str) -> str:
    return path.removeprefix(f"{RESULTS}/")


def _hash(plan: dict[str, list[str]]) -> str:
    """What identifies a configuration: every file of its run, and the command line that writes it."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
