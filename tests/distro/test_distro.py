"""config/ci.yaml and the tests of bits on Debian 13, with this machine's interpreter and environment.

The C library, the compiler and everything else of the distribution are Debian's there. `make test-distro` runs it,
`make test` does not, because it takes minutes.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from debian import need

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "tests/distro/debian13.sh"
CONFIG = ROOT / "config/ci.yaml"
LIBRARY = (2, 41)  # of Debian 13
BITS = ("tests/core/test_bits.py", "tests/test_randomness.py")
ASK = "import os; print(os.confstr('CS_GNU_LIBC_VERSION'))"
NORMALS = """
import hashlib, numpy
draws = numpy.random.Generator(numpy.random.PCG64(1)).standard_normal(20_000_000, dtype=numpy.float32)
print(hashlib.sha256(draws).hexdigest())
"""


def library(said: str) -> tuple[int, ...]:
    return tuple(map(int, said.split()[1].split(".")))


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """A folder that is there as well, and what runs a command there; or skip and say what is lacking."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount Debian 13 beside this machine's files")
    if library(os.confstr("CS_GNU_LIBC_VERSION")) >= LIBRARY:
        pytest.skip("this machine's C library is no older than that of Debian 13")
    if sys.base_prefix == "/usr":
        pytest.skip("the Python of the distribution cannot leave /usr; PYTHON and VENV name another one")
    need({"debootstrap": "debootstrap"})
    folder = tmp_path_factory.mktemp("debian")
    root = folder / "root"
    made = subprocess.run([DEBIAN, "make", root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if "Failed getting release file" in made.stdout:
        pytest.skip(f"debootstrap: {made.stdout.strip().splitlines()[-1]}")
    assert made.returncode == 0, made.stdout
    shown = {ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), folder}

    def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess:
        there = [DEBIAN, "run", root, *shown, "--", *command]
        return subprocess.run(there, cwd=cwd, capture_output=True, text=True)

    yield folder, run
    shutil.rmtree(root)


def test_its_c_library_is_another_one_and_shows(debian):
    """In the tail of numpy's normals, which is the C library's log1pf: data drawn with it would be other data."""
    _, run = debian
    assert library(run(sys.executable, "-c", ASK).stdout) == LIBRARY
    here = subprocess.run([sys.executable, "-c", NORMALS], capture_output=True, text=True, check=True).stdout
    there = run(sys.executable, "-c", NORMALS).stdout
    assert len(here) == len(there) == 65
    assert here != there


def test_the_small_run_is_the_golden_one(debian):
    """By what was published of a run of config/ci.yaml."""
    folder, run = debian
    results = folder / "é run"
    results.mkdir()
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "all", "--snakefile", ROOT / "Snakefile"]
    start = time.monotonic()
    done = run(*snakemake, "--configfile", CONFIG, "--directory", results)
    assert done.returncode == 0, done.stderr
    print(f"{time.monotonic() - start:.0f} s")
    done = run(sys.executable, ROOT / "workflow", "audit", "golden", "--config", CONFIG, cwd=results)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_bits_pass(debian):
    _, run = debian
    done = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *BITS)
    print(done.stdout)
    assert done.returncode == 0
