"""Imports point one way, from the audit down to errors: an arrow is easier to add than to see."""

import ast
from graphlib import TopologicalSorter

from winnow.paths import PACKAGE

# From the bottom: a module imports from its own layer and from those below. A folder stands for what lies in it.
LAYERS = (
    ("errors", "steps", "catalogue", "terminal"),
    ("inputs", "randomness", "paths", "report"),
    ("files", "reading"),
    ("core", "paper", "page"),
    ("config",),
    ("jobs",),
    ("two_layer", "images"),
    ("config.load", "config.keys", "collect", "columns"),
    ("analysis",),
    ("figures", "judge"),
    ("audit",),
)
APART = {"figures", "judge"}  # of one layer, and yet none of the other's business


def imports() -> dict[str, set[str]]:
    """The modules of the package, by name, and the modules of the package that each imports."""
    files = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}
    files = {name.removesuffix("__init__").rstrip("."): file for name, file in files.items()}
    found = {}
    for name, file in files.items():
        folder = [] if file == PACKAGE / "__init__.py" else name.split(".")
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.level:
                up = node.level - (file.name == "__init__.py")
                base = [*folder[: len(folder) - up], *(node.module or "").split(".")]
                base = ".".join(filter(None, base))
                named = {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
                found[name] |= {one if one in files else base for one in named} - {name, ""}
    return found


def layer(module: str) -> int:
    """Where a module lies: the longest name that it has, its own or its folder's."""
    ranks = {name: rank for rank, names in enumerate(LAYERS) for name in names}
    parts = module.split(".")
    return next(ranks[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in ranks)


def test_every_import_points_down():
    found = imports()
    assert len(found) > 60 and "analysis.selection" in found["figures.real"]
    wrong = {(a, b) for a, others in found.items() if a for b in others if layer(b) > layer(a)}
    wrong |= {(a, b) for a in found for b in found[a] if {a.split(".")[0], b.split(".")[0]} == APART}
    assert wrong == set()


def test_no_modules_import_each_other():
    tuple(TopologicalSorter(imports()).static_order())  # raises CycleError, which names them


def test_no_name_of_an_experiment_stands_outside_the_catalogue():
    """Of the names, those that can be nothing else: `width` is a setting as well."""
    from winnow.catalogue import EXPERIMENTS, FIGURES

    names = {name for name in EXPERIMENTS if not name.isalpha()} - set(FIGURES)
    found = set()
    for file in PACKAGE.rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Constant)}
        found |= {(file.name, name) for name in names & texts}
    assert {file for file, _ in found} == {"catalogue.py"}, found
