"""What was published of a run: `audit publish` copies it, `audit verify` and `audit golden` hold a run against it.

Every configuration has its own folder in docs/ and knows nothing of the others'. A run gives the same bytes on every
machine, so what config.yaml draws and judges is there for readers, and what config/ci.yaml gives are the golden values:
any change of a result shows. published.json beside the copies has the plan of the run, where and when it was made, and
the sha256 of every copy and of the tables that are too large for one.
"""

import hashlib
import json
import shutil
from pathlib import Path

from ..errors import WinnowError
from ..files import write_json
from ..inputs import sha256
from .compare import differs, verdict
from .models import Published
from .plan import planned
from .records import CHECKOUT, RESULTS, Records
from .results import Finding, devices, seen

COPIED = ("figures/*.svg", "figures/*.data.parquet", "claims.*", "scorecard.*")
TABLES = ("metrics.parquet", "summary.parquet")
SMALL = 16 * 1024  # bytes: larger tables stay out of git, and drift in them is told without a distance
PUBLISHED = "published.json"
PARTS = ("figures", "tables", "studies")  # folders of such a place; studies are frozen


def place(config: Path) -> str | None:
    """The folder that a configuration is published in: docs for config.yaml, docs/<name> for config/<name>.yaml.

    None for one that lies elsewhere, which is nobody's but its user's, and for one whose folder is a part of docs.
    """
    if config == CHECKOUT / "config.yaml":
        return "docs"
    own = config.parent == CHECKOUT / "config" and config.stem not in PARTS
    return f"docs/{config.stem}" if own else None


def publish(config: Path, findings: list[Finding]) -> None:
    """Copy what a run is known by into its configuration's folder: figures, their numbers, judgements, small tables.

    Raises WinnowError where `verify` found anything in it, and where its configuration has no folder.
    """
    if (docs := place(config)) is None:
        raise WinnowError(f"{config} is not published: only config.yaml and what lies in config/ have a place in docs/")
    plan, records = planned(config), Records()
    known = {name: path for path in sorted(plan) if (name := _name(path))}
    if not known:
        raise WinnowError(f"nothing to publish: {config} draws no figure and judges nothing")
    for found in findings:
        if found.code:
            raise WinnowError(f"{found.path}: {found.what}; only a whole run is published (`audit verify` tells more)")
    large = {name for name, path in known.items() if path.endswith(TABLES) and Path(path).stat().st_size > SMALL}
    for name, copy in _copies(docs).items():
        if name not in known or name in large:
            copy.unlink()
    for name, path in known.items():
        if name not in large:
            copy = CHECKOUT / docs / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    hashes = {name: sha256(path) for name, path in known.items()}
    files, tables = ({n: h for n, h in hashes.items() if (n in large) == one} for one in (False, True))
    run = {"devices": devices(plan, records), "plan": _hash(plan)} | _made(plan, records)
    write_json(CHECKOUT / docs / PUBLISHED, run | {"files": files, "large_tables": tables})
    print(f"{docs}: {len(files)} files")


def check(
    config: Path, hashes: dict[str, str], records: Records, plan: dict[str, list[str]]
) -> tuple[list[Finding], int]:
    """Results (given with their sha256) that are not those published of their configuration, and copies that were
    changed. Returns what was found, and at how many copies was looked."""
    if (docs := place(config)) is None:
        return [], 0
    copies, published = _copies(docs), _published(docs)
    if plan and (copies or published) and published.get("plan") != _hash(plan):
        what = "is missing, or of another run than this configuration's (`make publish` renews it with its copies)"
        return [Finding(1, f"{docs}/{PUBLISHED}", what)], len(copies)
    files, tables = (published.get(key, {}) for key in ("files", "large_tables"))
    code = differs(*published.get("devices", ()), *devices(hashes, records))
    findings = [Finding(4, f"{docs}/{name}", "is missing") for name in files if name not in copies]
    findings += [Finding(1, f"{docs}/{name}", "was not published") for name in copies if name not in files]
    unknown = [path for path in plan if published and (name := _name(path)) and name not in files | tables]
    findings += [Finding(4, path, f"has no hash in {docs}/{PUBLISHED}") for path in unknown]
    for name, digest in sorted((files | tables).items()):
        path = _path(name)
        if name in copies and sha256(copies[name]) != digest:
            findings.append(Finding(1, f"{docs}/{name}", "is not what `make publish` copied"))
        elif hashes.get(path, digest) != digest:
            drift = verdict(path, copies[name], path, code) if name in copies else Finding(code, path, "differs")
            what = f"`{records.get(path)['step']}`: {drift.what} (from {docs}/{name})"
            findings.append(Finding(drift.code, path, what))
    return findings, len(copies)


def golden(config: Path) -> tuple[list[Finding], dict[str, int]]:
    """Hold the results in the working directory against those published of a configuration, and nothing else.

    Returns what was found, and how much was looked at.
    """
    plan, records = planned(config), Records()
    wanted = [path for path in plan if _name(path)]
    hashes = {path: sha256(path) for path in wanted if Path(path).is_file() and records.get(path)}
    findings, copies = check(config, hashes, records, plan)
    findings += [Finding(4, path, "is missing, or its record") for path in wanted if path not in hashes]
    if not copies:
        findings.append(Finding(4, place(config) or str(config), "holds nothing to compare with: `make publish`"))
    return findings, seen(hashes, records) | {"copies": copies}


def _copies(docs: str) -> dict[str, Path]:
    """What lies in a folder that `make publish` may have put there, by its name in it."""
    folder = CHECKOUT / docs
    patterns = (*COPIED, *(f"tables/*/{name}" for name in TABLES))
    return {file.relative_to(folder).as_posix(): file for name in patterns for file in sorted(folder.glob(name))}


def _published(docs: str) -> dict:
    """Nothing where the file is missing or damaged."""
    try:
        return Published.model_validate_json((CHECKOUT / docs / PUBLISHED).read_bytes()).model_dump()
    except (OSError, ValueError):  # pydantic's error is a ValueError
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


def _name(path: str) -> str | None:
    """What a result is called among the published ones; None where it is none of them."""
    name = path.removeprefix(f"{RESULTS}/")
    if any(Path(path).match(f"{RESULTS}/{pattern}") for pattern in COPIED):
        return name
    return f"tables/{name}" if any(Path(path).match(f"{RESULTS}/*/{table}") for table in TABLES) else None


def _path(name: str) -> str:
    return f"{RESULTS}/{name.removeprefix('tables/')}"


def _hash(plan: dict[str, list[str]]) -> str:
    """What identifies a configuration: every file of its run, and the command line that writes it."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
