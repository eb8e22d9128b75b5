"""The step `audit`: checks results against their records, and derives any of them again.

Exit codes: 0 identical; 1 drift: code or settings are not those that made the results, or a result derived again
differs; 2 usage; 4 tampered, missing or broken chain, or there was nothing to look at; 5 packages are not those of the
lock; 6 nothing can be said: the workflow cannot be planned, the command cannot do its work, or what differs was made on
a GPU.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ..errors import WinnowError
from . import docs
from .records import CHECKOUT, RESULTS
from .rederive import rederive, sample
from .results import Finding
from .trace import show_trace, trace
from .verify import verify

MEANING = {
    0: "identical",
    1: "drift",
    4: "tampered, missing or broken chain",
    5: "environment differs from the lock",
    6: "nothing can be said",
}
WORST_LAST = (0, 5, 1, 6, 4)
MOST_LINES = 40
OF_A_RUN = {
    "verify": ("config.yaml", "rehash everything, check every link, compute nothing"),
    "golden": ("config/ci.yaml", "compare with what was published of a configuration"),
    "publish": ("config.yaml", "copy figures, claims and tables into the configuration's folder in docs/"),
}
OF_A_FILE = {
    "rederive": "run one result's step again and compare",
    "trace": "the chain of a file down to seeds and data",
}


def show(findings: list[Finding], looked_at: dict[str, int], as_json: bool) -> int:
    """Print what was looked at and what was found, as JSON or as a table with a line a kind; return the exit code."""
    if not looked_at["files"]:
        findings = [*findings, Finding(4, RESULTS, "there was nothing to look at")]
    code = max((f.code for f in findings), key=WORST_LAST.index, default=0)
    if as_json:
        listed = [asdict(finding) for finding in findings]
        print(
            json.dumps({"code": code, "verdict": MEANING[code], "looked_at": looked_at, "findings": listed}, indent=1)
        )
        return code
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    kinds = {}
    for finding in sorted(findings, key=lambda f: -WORST_LAST.index(f.code)):
        kinds.setdefault((finding.code, finding.what), []).append(finding.path)
    table = Table("code", "files", "first of them", "finding")
    for (code_of_kind, what), files in list(kinds.items())[:MOST_LINES]:
        table.add_row(str(code_of_kind), f"{len(files):,}", escape(files[0]), escape(what))
    console = Console(width=None if sys.stdout.isatty() else 160)
    if kinds:
        console.print(table)
    if len(kinds) > MOST_LINES:
        console.print(f"… and {len(kinds) - MOST_LINES} lines more (--json lists every file)")
    told = ", ".join(f"{n:,} {what}" for what, n in looked_at.items())
    style = "green" if code == 0 else "red"
    console.print(f"looked at {told}: {MEANING[code]} (exit code {code})", style=style, markup=False)
    return code


def main(arguments: list[str]) -> int:
    """Check results against their records, derive them again, or show where they come from."""
    parser = argparse.ArgumentParser(prog="python workflow audit", description=main.__doc__, epilog=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="for machines")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (usual, purpose) in OF_A_RUN.items():
        one = commands.add_parser(name, parents=[] if name == "publish" else [shared], help=purpose)
        one.add_argument("--config", type=Path, default=CHECKOUT / usual, help="the configuration that was run")
    for name, purpose in OF_A_FILE.items():
        commands.add_parser(name, parents=[shared], help=purpose).add_argument("file")
    one = commands.add_parser("sample", parents=[shared], help="derive some results again")
    one.add_argument("n", type=int)
    one.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args(arguments)
    if options.command == "sample" and (options.n < 1 or options.seed < 0):
        parser.error("n must be 1 or more, and --seed 0 or more")
    if "config" in options and not options.config.is_file():
        parser.error(f"{options.config} is no file")
    if "file" in options and not os.path.relpath(options.file).startswith(f"{RESULTS}/"):
        parser.error(f"{options.file} is no file below {RESULTS}/ of the working directory")
    try:
        return _run(options)
    except WinnowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 6


def _run(options: argparse.Namespace) -> int:
    """Run a command; return the exit code."""
    if options.command == "verify":
        return show(*verify(options.config.resolve()), options.json)
    if options.command == "rederive":
        return show(*rederive([os.path.relpath(options.file)]), options.json)
    if options.command == "sample":
        return show(*sample(options.n, options.seed), options.json)
    if options.command == "golden":
        return show(*docs.golden(options.config.resolve()), options.json)
    if options.command == "trace":
        return show_trace(trace(os.path.relpath(options.file)), options.json)
    config = options.config.resolve()
    docs.publish(config, verify(config, published=False)[0])
    return 0
