"""A part of config/ci.yaml on a real Slurm of two nodes; a job is cancelled and the controller gone for a while.

`make test-slurm` runs it; `make test` does not. One run of the workflow serves all tests, because it takes minutes.
No limit is on the whole of it: beside other work it may take long, as long as it goes on.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from debian import need

from winnow.audit import docs

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/slurm/cluster.sh"
CONFIG = ROOT / "config/ci.yaml"
PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "mariadbd": "mariadb-server",
}
EXPERIMENTS = ("fig5", "noise", "width", "causes", "width_mild", "start")  # the quickest: 17 jobs that train
TABLES = [f"results/{name}/{table}.parquet" for name in EXPERIMENTS for table in ("metrics", "summary")]
DOWN = 30  # seconds that the controller is gone
MINUTE = 60
STILL = 15 * MINUTE  # with nothing said: a command, or the workflow, hangs


def install() -> None:
    """Install what is missing, or skip and say why that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm cluster can be started by root only")
    need(PACKAGES)


class Cluster:
    """The cluster, and the environment in which sbatch and the others find it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }

    def manage(self, command: str, *arguments: str) -> None:
        subprocess.run([CLUSTER, command, str(self.folder), *arguments], check=True, timeout=STILL)

    def ask(self, *command: str) -> str:
        """What a Slurm command says; each can hang, so each has its time."""
        run = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=STILL)
        return run.stdout

    def training(self) -> list[str]:
        """The running jobs that train."""
        lines = self.ask("squeue", "--noheader", "--states=R", "--format=%A %k").splitlines()
        return [line.split()[0] for line in lines if "train" in line]

    def stop_control(self) -> None:
        process = int((self.folder / "run/slurmctld.pid").read_text())
        os.kill(process, 15)
        while Path(f"/proc/{process}").exists():
            time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    install()
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        found.manage("up", "2")
        yield found
    finally:
        found.manage("down")


@pytest.fixture(scope="module")
def run(cluster, tmp_path_factory):
    """The folder, output, cancelled job and exit code of one run through the profile, disturbed twice."""
    folder = tmp_path_factory.mktemp("é run")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(CONFIG)]
    command += ["--workflow-profile", str(ROOT / "profiles/slurm"), "--directory", str(folder), *TABLES]
    log = folder / "snakemake.log"
    start = time.monotonic()
    with log.open("w") as stream:
        workflow = subprocess.Popen(command, env=cluster.environment, stdout=stream, stderr=subprocess.STDOUT)
    try:
        while not (jobs := cluster.training()):
            assert workflow.poll() is None, log.read_text()
            time.sleep(1)
        cluster.ask("scancel", jobs[0])
        while jobs[0] in cluster.training():
            time.sleep(1)
        cluster.stop_control()
        time.sleep(DOWN)
        cluster.manage("control")
        while (code := workflow.poll()) is None:
            assert time.time() - log.stat().st_mtime < STILL, log.read_text()
            time.sleep(1)
    finally:
        workflow.kill()
    print(f"{time.monotonic() - start:.0f} s on 2 nodes, with {DOWN} s without a controller")
    return folder, log.read_text(), jobs[0], code


def test_it_finishes_without_the_controller_for_a_while(run):
    folder, output, _, code = run
    assert code == 0, output
    assert not list(folder.rglob("*.tmp"))


def test_every_two_layer_result_is_that_of_a_local_run(run, monkeypatch):
    """By what was published of a run of config/ci.yaml."""
    monkeypatch.chdir(run[0])
    found, looked_at = docs.golden(CONFIG)
    assert looked_at["files"] >= len(TABLES)
    assert [finding for finding in found if finding.path in TABLES or finding.path.startswith("docs/")] == []


def test_a_cancelled_job_is_tried_again(cluster, run):
    _, output, cancelled, _ = run
    state = cluster.ask("sacct", "--noheader", "--allocations", "--format=State%30", "--jobs", cancelled)
    assert state.strip().startswith("CANCELLED")
    assert "Trying to restart" in output


def test_jobs_of_a_group_share_one_core_one_after_the_other(cluster, run):
    rows = cluster.ask("sacct", "--noheader", "--allocations", "--parsable2", "--format=State,ReqCPUS,ReqMem,Comment")
    jobs = [row.split("|") for row in rows.splitlines()]
    assert {cpus for _, cpus, *_ in jobs} == {"1"}
    trained = [comment for *_, comment in jobs if "train" in comment]
    assert 1 < len(trained) < 10, "17 training jobs should share a few allocations"
    assert run[3] == 0
