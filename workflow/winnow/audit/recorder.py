"""Who made a file from what: one record pair for every output of a step, written by the dispatcher.

`results/provenance/<path>.json` says what decides the bytes: command, inputs, code, random streams, environment. It is
the same on every machine. `<path>.run.json` says how it went this time: when, where, how long. Steps need not know:
files.py notes what they read and write, and so does their command line.
"""

import hashlib
import json
import platform
import re
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .. import inputs as given
from ..inputs import sha256
from .records import CHECKOUT, CPU, REQUIREMENTS, RESULTS, content, located, lock, parameters, place, read, record_path

# What packages of the lock are imported as, where that is not their name: to ask the installed ones takes 0.1 s a job.
MODULES = {"markdown-it-py": "markdown_it", "pytest-xdist": "xdist", "pyyaml": "yaml", "scikit-learn": "sklearn"}
CPU_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "amx_tile")


class Recorder:
    """Looks at the clock and at the code before a step, and writes the records of what it wrote after it."""

    def __init__(self, step: str, arguments: list[str]):
        """Start, before the step is imported."""
        self.step, self.arguments = step, arguments
        self.start, self.clock = datetime.now(UTC), time.perf_counter()
        self.requirements = sha256(CHECKOUT / REQUIREMENTS)
        given.note_modules()

    def finish(self) -> None:
        """Write the record pair of every result that the step wrote; the hashes are those of what it was given."""
        wall = time.perf_counter() - self.clock
        from ..files import WRITTEN, complete

        outputs = sorted({path for path in map(place, WRITTEN) if path and path.startswith(f"{RESULTS}/")})
        if not outputs:
            return
        hashes = {name: digest for path, (_, digest) in given.READ.items() if (name := place(path))}
        inputs = sorted(path for path in hashes if not path.startswith("code:") and path not in outputs)
        randomness = sys.modules.get("winnow.randomness")
        record = {
            "step": self.step,
            "command": self.arguments,
            "parameters": self._parameters(set(outputs) | set(inputs)),
            "wildcards": {path: wildcards(path) for path in outputs if wildcards(path)},
            "streams": sorted(set(randomness.DRAWN)) if randomness else [],
            "inputs": {path: _input_hashes(path, hashes[path]) for path in inputs},
            "outputs": {path: _hashes(path) for path in outputs},
            "code": {p.removeprefix("code:"): hashes[p] for p in hashes if p.startswith("code:")},
            "requirements": self.requirements,
            "device": _device(),
        }
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        run = json.dumps(self._run(wall) | {"record": hashlib.sha256(text.encode()).hexdigest()}, indent=1) + "\n"
        for path in map(record_path, outputs):
            for target, lines in ((path, text), (f"{path.removesuffix('.json')}.run.json", run)):
                with complete(target) as temporary:
                    temporary.write_text(lines, encoding="utf-8")

    def _parameters(self, files: set[str]) -> dict[str, object]:
        """The parameters that are no files."""
        named = parameters(self.arguments)
        return {k: v for k, v in named.items() if not v or not all(isinstance(x, str) and place(x) in files for x in v)}

    def _run(self, wall: float) -> dict[str, object]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        torch = sys.modules.get("torch")
        packages = {name: getattr(sys.modules.get(MODULES.get(name, name)), "__version__", None) for name in lock()}
        return {
            "start": self.start.isoformat(timespec="milliseconds"),
            "end": (self.start + timedelta(seconds=wall)).isoformat(timespec="milliseconds"),
            "wall_s": round(wall, 3),
            "cpu_s": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
            "peak_memory_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 1),
            "host": platform.node(),
            "cpu": _cpu(),
            "threads": torch.get_num_threads() if torch else 1,
            "versions": {"python": platform.python_version()} | {k: v for k, v in packages.items() if v},
            "commit": commit(),
            "recording_s": round(time.perf_counter() - self.clock - wall, 3),
        }


def wildcards(path: str) -> dict[str, str]:
    """What a result's path says about it: `fraction-0.5/seed-3.parquet` is fraction 0.5, seed 3."""
    below = Path(path).parts[3:]  # results/<experiment>/<runs, data or masks>: a dash in these is none of a wildcard
    parts = (re.fullmatch(r"([A-Za-z]\w*)-(.+?)(\.[a-z]+)?", part) for part in below)
    return {match[1]: match[2] for match in parts if match}


def commit() -> str | None:
    """The commit of the checkout, with `-dirty` if files that git knows differ from it.

    None where there is no git, and where the checkout is an unpacked archive, whatever repository it lies in.
    """
    command = ["git", "--git-dir", f"{CHECKOUT}/.git", "--work-tree", str(CHECKOUT), "describe", "--always"]
    command += ["--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _hashes(path: str | Path) -> dict[str, str]:
    table = content(path)
    return {"sha256": sha256(path)} | ({"content": table} if table else {})


def _input_hashes(path: str, digest: str) -> dict[str, str]:
    """The hashes of an input; its content hash is taken from its producer's record if that speaks of these bytes."""
    producer = read(path)[0] if path.startswith(f"{RESULTS}/") else None
    known = producer["outputs"].get(path, {}) if producer else {}
    return known if known.get("sha256") == digest else _hashes(located(path))


def _device() -> str:
    """`cpu`, whose results have the same bytes on every machine, or the name of the GPU that the step computed on."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else CPU


def _cpu() -> dict[str, object]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {"name": platform.processor()}
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    return {"name": name[1] if name else platform.machine(), "features": [f for f in CPU_FEATURES if f in known]}
