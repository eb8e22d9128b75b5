"""Where every file of the workflow lies, and which modules a step is made of.

Paths are relative to the working directory, so that commands can be pasted; the code is found from where this file is.
"""

import ast
import hashlib
import os
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
RESULTS = "results"
CORE = f"{RESULTS}/core/libwinnow.so"
CURVES = "paper/published.csv"  # the values that the paper's figures show, in the package


def prefer_this_python() -> None:
    """Let the `python` of every rule be the one that runs Snakemake."""
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])


def settings(name: str) -> str:
    """The settings that the jobs of an experiment read."""
    return f"{RESULTS}/{name}/experiment.json"


def data(name: str, axes: list[str]) -> str:
    """The data of one seed; a pattern over it and the swept keys that change the data."""
    return "/".join([f"{RESULTS}/{name}/data", *folders(axes), "seed-{seed}.npz"])


def run(name: str, axes: list[str]) -> str:
    """The evaluations of one run; a pattern over the swept keys, the fraction and the seed."""
    return "/".join([f"{RESULTS}/{name}/runs", *folders([*axes, "fraction"]), "seed-{seed}.parquet"])


def masks(name: str, axes: list[str]) -> str:
    """The mask that a run starts from, where an earlier job made it; a pattern like that of `run`."""
    return "/".join([f"{RESULTS}/{name}/masks", *folders([*axes, "fraction"]), "seed-{seed}.safetensors"])


def table(name: str, table: str) -> str:
    """`metrics` (every evaluation of every run) or `summary` (one row a run) of an experiment."""
    return f"{RESULTS}/{name}/{table}.parquet"


def figure(name: str, suffix: str) -> str:
    """A figure (svg, pdf, png) or the numbers it draws (data.parquet)."""
    return f"{RESULTS}/figures/{name}.{suffix}"


def claims(suffix: str) -> str:
    """The verdicts on the paper's claims (json, md)."""
    return f"{RESULTS}/claims.{suffix}"


def scorecard(suffix: str) -> str:
    """Every published point against ours (json, md)."""
    return f"{RESULTS}/scorecard.{suffix}"


def page(name: str) -> str:
    """A table of results as the page that the report shows."""
    return f"{RESULTS}/pages/{name}.html"


def log(*parts: str) -> str:
    """The log of a job."""
    return "/".join([f"{RESULTS}/logs", *parts]) + ".log"


def folders(axes: list[str]) -> list[str]:
    """The folders of a path over swept keys, as patterns."""
    return [f"{axis}-{{{axis}}}" for axis in axes]


def code(wildcards, input) -> str:
    """The folder of the code: `python ./workflow <step>` runs a step.

    A function of its inputs is a parameter that Snakemake does not compare: where the code lies changes no result.
    """
    return os.path.join(".", os.path.relpath(PACKAGE.parent))


@cache
def version(*parts: str) -> str:
    """What identifies the code of a step: a hash of the files that are its parts, wherever the checkout lies.

    It is a parameter of the step's rule, and Snakemake compares it with that of the last time: editing a module reruns
    the jobs that it is part of and no others, also where its time is an old one; touching it reruns nothing.
    """
    known = hashlib.sha256()
    for file in sources(*parts):
        known.update(f"{file.relative_to(PACKAGE).as_posix()} {_sha256(file)}\n".encode())
    return known.hexdigest()[:16]


@cache
def sources(*parts: str) -> list[Path]:
    """The files of some of the package's modules and of all they import, found by reading their import statements.

    A part with a slash is a pattern of other files, such as the C++ sources of the core. The dispatcher
    `workflow/__main__.py` is left out, because it decides nothing about a result.
    """
    files = {PACKAGE / "__init__.py"}
    queue = [_module_file(PACKAGE, part.split(".")) for part in parts if "/" not in part]
    while queue:
        file = queue.pop()
        if file is None or file in files:
            continue
        files.add(file)
        queue.extend(_imports(file))
        queue.append(file.parent / "__init__.py")
    return sorted(files.union(*(PACKAGE.glob(part) for part in parts if "/" in part)))


def _module_file(base: Path, parts: list[str]) -> Path | None:
    path = base.joinpath(*parts)
    candidates = [path.with_suffix(".py"), path / "__init__.py"] if parts else [base / "__init__.py"]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _imports(file: Path) -> list[Path | None]:
    """The package's files that a file imports with `from . import x` or `from .x import y`."""
    imported = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1]
            parts = node.module.split(".") if node.module else []
            imported.append(_module_file(base, parts))
            imported.extend(_module_file(base, [*parts, alias.name]) for alias in node.names)
    return imported
