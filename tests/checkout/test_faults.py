"""What machines do to a run: after every fault nothing is half-written, and the next run gives the undisturbed bytes.

Each test starts from a copy of one finished run of two small jobs, so that it costs a few seconds.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from project import ROOT, TINY

RUNS = [f"results/tiny/runs/fraction-0.5/seed-{seed}.parquet" for seed in (0, 1)]
DATA = [f"results/tiny/data/seed-{seed}.npz" for seed in (0, 1)]
TABLE = "results/tiny/metrics.parquet"
CONFIG = {
    "experiments": {
        # Many training examples: files of data are large enough to fill a small disk.
        "tiny": TINY | {"data": {"dimension": 50, "n_train": 2000, "n_test": 20}, "seeds": 2}
    },
    "figures": [],
}
NOBODY = 65534


def start(folder: Path, *arguments: str, **options) -> subprocess.Popen:
    """Start Snakemake on the small sweep in a folder, in a session of its own, as a terminal would."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", f"{ROOT}/Snakefile", "--configfile", "tiny.yaml"]
    command += ["--cores", "1", "--nocolor", TABLE, *arguments]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=folder, **pipe | options)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and output of a Snakemake."""
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def results(folder: Path) -> dict[str, bytes]:
    """Data, runs and tables by their path."""
    return {path: (folder / path).read_bytes() for path in [*DATA, *RUNS, TABLE] if (folder / path).exists()}


def half_written(folder: Path) -> list[Path]:
    """What a job left behind that no reader should meet: temporary files, and tables that cannot be read."""
    for path in folder.rglob("results/tiny/**/*.parquet"):
        pq.ParquetFile(path)
    return list(folder.rglob("*.tmp"))


@pytest.fixture(scope="module")
def finished(library, tmp_path_factory):
    """A folder after an undisturbed run; the core is the one that all tests share."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "results/core").mkdir(parents=True)
    shutil.copy(library, folder / "results/core")
    code, output = finish(start(folder))
    assert code == 0, output
    assert len(results(folder)) == 5
    return folder


@pytest.fixture
def folder(finished, tmp_path_factory):
    """A copy of the finished run without its runs and tables: three jobs are left to do."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(finished, copy, dirs_exist_ok=True)
    shutil.rmtree(copy / "results/tiny/runs")
    for table in ("metrics", "summary"):
        (copy / f"results/tiny/{table}.parquet").unlink()
    return copy


@pytest.fixture
def disk(folder):
    """A small disk under results/: a function that gives it options of mount, such as `size=1m` or `ro`."""
    kept, mounted = folder / "kept", folder / "results"
    shutil.move(mounted, kept)
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    shutil.copytree(kept, mounted, dirs_exist_ok=True)
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", mounted], check=True)
    subprocess.run(["umount", mounted], check=True)


def training(process: subprocess.Popen) -> psutil.Process:
    """Wait for a training job of a running Snakemake."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                command = child.cmdline()
            except psutil.Error:
                continue
            if "train" in command and child.name().startswith("python"):
                return child
        time.sleep(0.05)
    raise AssertionError(process.communicate()[0])


def check_next_run(folder: Path, finished: Path, jobs: int) -> None:
    """The next run does exactly what is left, and ends with the undisturbed bytes."""
    code, output = finish(start(folder))
    assert code == 0, output
    assert f"{jobs} of {jobs} steps (100%) done" in output
    assert results(folder) == results(finished)


def test_a_run_ends_with_its_last_job(folder, finished):
    """Not with the last of the timers that Snakemake sets while it runs, of this length."""
    process = start(folder, "--max-jobs-per-timespan", "1000/20m")
    try:
        code, output = finish(process)
    finally:
        process.kill()
    assert code == 0, output
    assert results(folder) == results(finished)


def test_a_killed_training_job_fails_alone(folder, finished):
    process = start(folder)
    training(process).kill()
    code, output = finish(process)
    assert code == 1
    assert "Error in rule train_tiny.{seed}" in output
    assert not half_written(folder)
    assert sum((folder / run).exists() for run in RUNS) == 1
    assert not (folder / TABLE).exists()
    check_next_run(folder, finished, 2)


def test_after_a_killed_snakemake_only_the_unfinished_jobs_run(folder, finished):
    process = start(folder)
    first = training(process)
    while training(process) == first:
        time.sleep(0.05)
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(jobs, timeout=60)  # an orphan goes on writing, to a temporary name of its own
    assert not half_written(folder)
    code, output = finish(start(folder))
    assert code == 1
    assert "--unlock" in output
    assert finish(start(folder, "--unlock"))[0] == 0
    check_next_run(folder, finished, 2)


def test_an_interrupt_ends_cleanly_and_says_how_to_go_on(folder, finished):
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # even where tests run in background
    process = start(folder, **heard)
    training(process)
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    assert code != 0
    assert "run the same command again" in output
    assert not half_written(folder)
    left = 1 + sum(not (folder / run).exists() for run in RUNS)
    check_next_run(folder, finished, left)


def test_a_second_snakemake_is_turned_away(folder, finished):
    first = start(folder)
    training(first)
    code, output = finish(start(folder))
    assert code == 1
    assert "cannot be locked" in output
    assert finish(first)[0] == 0
    assert results(folder) == results(finished)


def test_a_full_disk_is_told_and_gone_on_from(folder, finished, disk):
    for path in DATA:
        (folder / path).unlink()
    used = shutil.disk_usage(folder / "results").used
    disk(f"size={used + 200_000}")
    code, output = finish(start(folder))
    assert code == 1
    assert "No space left on device" in output and "Traceback" not in output
    assert not half_written(folder)
    disk("size=100m")
    check_next_run(folder, finished, 5)


def test_read_only_results_are_told(folder, disk):
    disk("ro")
    code, output = finish(start(folder))
    assert code == 1
    assert "Read-only file system" in output  # Snakemake has a traceback of its own for its log


@pytest.mark.parametrize(("path", "step"), [(DATA[1], "train"), (RUNS[0], "collect")])
def test_a_truncated_file_is_named_by_the_job_that_reads_it(folder, finished, path, step):
    shutil.copytree(finished / "results/tiny/runs", folder / "results/tiny/runs")
    if step == "train":
        (folder / RUNS[1]).unlink()
    (folder / path).write_bytes((folder / path).read_bytes()[:300])
    target = (RUNS[1], "--force") if step == "train" else ()
    code, output = finish(start(folder, *target, "--rerun-triggers", "mtime"))
    assert code == 1
    assert f"error: {path}: cannot be read" in output
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("big", "output", "says"),
    [
        (TINY | {"data": {"dimension": 100_000, "n_train": 1_000_000, "n_test": 1}}, DATA[0], "Unable to allocate"),
        (
            {"kind": "images", "data": {"source": "digits"}, "model": {"hidden": [60_000, 60_000]}, "fractions": [0.5]}
            | {"training": {"batch_size": 8, "epochs": 1}, "seeds": 1},
            RUNS[0],
            "out of memory (",
        ),
    ],
    ids=["numpy", "torch"],
)
def test_a_job_out_of_memory_fails_with_one_line(folder, big, output, says):
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | {"experiments": {"tiny": big}}))
    limit = 6 * 2**30
    process = start(folder, output, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    code, output = finish(process)
    assert code == 1
    assert f"error: {says}" in output
    assert "Traceback" not in output
    assert not half_written(folder)


def test_a_home_is_not_needed(folder, finished):
    environment = {key: value for key, value in os.environ.items() if key != "HOME"}
    code, output = finish(start(folder, env=environment))
    assert code == 0, output
    assert results(folder) == results(finished)


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as a user already")
def test_root_is_not_needed(folder, finished):
    try:
        subprocess.run([sys.executable, "-c", "import snakemake"], user=NOBODY, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"another user cannot run {sys.executable}")
    subprocess.run(["chown", "--recursive", str(NOBODY), folder], check=True)
    for parent in folder.parents:  # closed to others by pytest; Snakemake lists the folders above its inputs
        if Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(0o755)
    code, output = finish(start(folder, user=NOBODY, env=os.environ | {"HOME": str(folder)}))
    assert code == 0, output
    assert results(folder) == results(finished)


LONG = 2_000_000  # steps: seconds, long enough to be stopped in on a loaded machine


def one_run(folder: Path, steps: int) -> None:
    """Configure one run of so many steps."""
    tiny = TINY | {"training": {"max_steps": steps, "learning_rate": 1e-4}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"experiments": {"tiny": tiny}, "figures": []}))


def stopped_in_training(process: subprocess.Popen) -> psutil.Process:
    """A training job that stands still after it has loaded the core, the last thing before its steps."""
    job = training(process)
    while not any(region.path.endswith("libwinnow.so") for region in job.memory_maps()):
        time.sleep(0.01)
    job.suspend()
    return job


def test_a_job_whose_code_is_edited_while_it_trains_writes_nothing(folder):
    tree = folder / "tree"
    tree.mkdir()
    for name in ("Snakefile", "config.yaml", "envs", "profiles", "workflow"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tree / name)
    one_run(folder, LONG)
    process = start(folder, "--snakefile", f"{tree}/Snakefile")
    job = stopped_in_training(process)
    module = tree / "workflow/winnow/two_layer/pruning.py"
    module.write_text(module.read_text() + "# edited")
    job.resume()
    code, output = finish(process)
    assert code == 1
    assert "error: tree/workflow/winnow/two_layer/pruning.py changed while this step ran: run it again\n" in output
    assert "Traceback" not in output
    assert not results(folder).keys() & {RUNS[0], TABLE}
    assert not half_written(folder)


def test_an_orphan_does_not_replace_the_result_of_a_newer_run(folder):
    """Snakemake is killed, the number of steps changed and the run made; then the first run's job ends."""
    one_run(folder, LONG)
    process = start(folder)
    orphan = stopped_in_training(process)
    process.kill()
    process.stdout.close()
    process.wait()
    one_run(folder, 20)
    assert finish(start(folder, "--unlock"))[0] == 0
    code, output = finish(start(folder))
    assert code == 0, output
    made = {path: path.read_bytes() for path in (folder / "results").rglob("*") if path.is_file()}
    orphan.resume()
    psutil.wait_procs([orphan], timeout=120)
    assert pq.read_table(folder / RUNS[0])["step"].to_pylist()[-1] == 20
    logs = folder / "results/logs"
    assert not [path for path, was in made.items() if path.read_bytes() != was and not path.is_relative_to(logs)]
    assert not half_written(folder)
