"""Where every file of the workflow lies, and which modules a step is made of.

Paths are relative to the working directory, so that commands can be pasted; the code is found from where this file is.
Snakemake compares the paths of a job's inputs with those of the last time. Those of the code it compares as they are in
the checkout, so that a working directory can move and nothing reruns.
"""

import ast
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
RESULTS = "results"
CORE = f"{RESULTS}/core/libwinnow.so"


def prefer_this_python() -> None:
    """Let the `python` of every rule be the one that runs Snakemake."""
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])


def settings(name: str) -> str:
    """The settings that the jobs of an experiment read."""
    return f"{RESULTS}/{name}/experiment.json"


def data(name: str, axes: list[str], seed: int | str = "{seed}") -> str:
    """The data of one seed; a pattern over the swept keys that change the data."""
    return "/".join([f"{RESULTS}/{name}/data", *folders(axes), f"seed-{seed}.npz"])


def run(name: str, axes: list[str], seed: int | str = "{seed}") -> str:
    """The evaluations of one run; a pattern over the swept keys and the fraction."""
    return "/".join([f"{RESULTS}/{name}/runs", *folders([*axes, "fraction"]), f"seed-{seed}.parquet"])


def masks(name: str, axes: list[str], seed: int | str = "{seed}") -> str:
    """The mask that a run starts from, where an earlier job made it; a pattern like that of `run`."""
    return "/".join([f"{RESULTS}/{name}/masks", *folders([*axes, "fraction"]), f"seed-{seed}.safetensors"])


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

    A function of its inputs is a parameter that Snakemake does not compare: the inputs are.
    """
    return os.path.join(".", os.path.relpath(PACKAGE.parent))


def core_sources() -> list[str]:
    """The C++ sources of the compiled core."""
    return _inputs((PACKAGE / "core").glob("*.[chi]*"))


def published() -> list[str]:
    """The values that the paper's figures show."""
    return _inputs([PACKAGE / "paper/published.csv"])


@cache
def sources(*modules: str) -> list[str]:
    """The files of some of the package's modules and of all they import, found by reading their import statements.

    They are inputs of a step's rule: editing one reruns the jobs that it is part of, and no others. The dispatcher
    `workflow/__main__.py` is left out, because it decides nothing about a result.
    """
    seen = {PACKAGE / "__init__.py"}
    queue = [_module_file(PACKAGE, module.split(".")) for module in modules]
    while queue:
        file = queue.pop()
        if file is None or file in seen:
            continue
        seen.add(file)
        queue.extend(_imports(file))
        queue.append(file.parent / "__init__.py")
    return _inputs(seen)


def _inputs(files: Iterable[Path]) -> list[str]:
    """Files of the checkout as inputs, which Snakemake shows and compares by their path in it."""
    from snakemake.io import sourcecache_entry  # its flag for copies of sources; no step needs it

    return [sourcecache_entry(os.path.relpath(file), os.path.relpath(file, CHECKOUT)) for file in sorted(files)]


def _module_file(base: Path, parts: list[str]) -> Path | None:
    path = base.joinpath(*parts)
    candidates = [path.with_suffix(".py"), path / "__init__.py"] if parts else [base / "__init__.py"]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(file: Path) -> list[Path | None]:
    """The package's files that a file imports with `from . import x` or `from .x import y`."""
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1]
            parts = node.module.split(".") if node.module else []
            found.append(_module_file(base, parts))
            found.extend(_module_file(base, [*parts, alias.name]) for alias in node.names)
    return found
