"""On another processor: a run whose image part was made with other arithmetic is told from drift, and drift from it.

Every test holds whatever this machine's arithmetic is.
"""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from project import ROOT, audit, snakemake
from winnow.audit.tolerance import DISTURBANCES

from winnow.audit.records import sha256

CLASS = """
import torch
from winnow.audit.numerics import numerics_class
torch.set_num_threads(1)
print(sorted(numerics_class().items()))
"""
CI = ("--config", "config/ci.yaml")
RUN = "results/fig4-small/runs/method-imp/fraction-0.8/seed-0.parquet"


def numerics(**env) -> str:
    """The numerics class of a job, with further variables of the environment."""
    run = subprocess.run(
        [sys.executable, "-c", CLASS], cwd=ROOT / "workflow", env=os.environ | env, capture_output=True, check=True
    )
    return run.stdout.decode()


@pytest.fixture(scope="session")
def arithmetic():
    """Variables that make the libraries compute otherwise than they do here."""
    here = numerics()
    found = next((env for env in DISTURBANCES if "WINNOW_ISA" in env and numerics(**env) != here), None)
    if found is None:
        pytest.skip("this processor has no other arithmetic: it knows neither AVX2 nor AVX-512")
    return found


@pytest.fixture(scope="session")
def elsewhere(tree, arithmetic, tmp_path_factory):
    """A copy of the tree that is published, and then a part of it made again with other arithmetic.

    Of the networks on images one experiment of either kind, and all that is drawn and judged from them.
    """
    folder = tmp_path_factory.mktemp("elsewhere") / "tree"
    shutil.copytree(tree, folder, symlinks=True)
    shutil.copy(ROOT / "Makefile", folder)
    subprocess.run([sys.executable, "workflow", "audit", "publish", *CI], cwd=folder, check=True)
    assert audit(folder, "verify", *CI)[0] == 0
    for name in ("fig4-small", "methods"):  # an experiment, and the figure that it is drawn in
        shutil.rmtree(folder / "results" / name)
        for file in folder.glob(f"results/figures/{name}.*"):
            file.unlink()
    run = snakemake(folder, "--cores", "all", **arithmetic)
    assert run.returncode == 0, run.stdout
    assert (folder / RUN).read_bytes() != (tree / RUN).read_bytes()
    return folder


@pytest.fixture(params=["tree", "elsewhere"])
def anywhere(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def edit():
    """Write other bytes to a file for one test."""
    kept = {}

    def write(file, content: bytes) -> None:
        kept.setdefault(file, file.read_bytes())
        file.write_bytes(content)

    yield write
    for file, content in kept.items():
        file.write_bytes(content)


def findings(found: dict, code: int) -> list[str]:
    return [f"{f['path']} {f['what']}" for f in found["findings"] if f["code"] == code]


def test_the_results_of_ci_are_the_golden_ones(anywhere):
    golden = json.loads((anywhere / "tests/golden/ci.json").read_text())["numerics"]
    record = json.loads(
        (anywhere / "results/provenance" / RUN.removeprefix("results/")).with_suffix(".parquet.json").read_text()
    )
    code, found = audit(anywhere, "golden")
    assert code in ((0,) if record["numerics"] == golden else (0, 3)), findings(found, 1) + findings(found, 4)
    assert found["looked_at"]["files"] > 200


def test_drift_from_the_golden_values_names_step_column_and_distance(anywhere, edit):
    """A thousandth of an error, in an experiment that every processor computes alike."""
    file = anywhere / "results/fig5/summary.parquet"
    table = pq.read_table(file)
    at = table.column_names.index("test_error")
    moved = pa.BufferOutputStream()
    pq.write_table(table.set_column(at, "test_error", pc.add(table["test_error"], 0.001)), moved)
    edit(file, moved.getvalue().to_pybytes())
    code, found = audit(anywhere, "golden")
    assert code == 1
    (drift,) = (line for line in findings(found, 1) if line.startswith("results/fig5/summary.parquet"))
    assert drift.startswith("results/fig5/summary.parquet `collect`: column test_error: mean")
    assert "(+0.001)" in drift


def test_a_table_that_cannot_be_read_is_no_drift(anywhere, edit):
    edit(anywhere / "results/fig5/summary.parquet", b"PAR1")
    code, found = audit(anywhere, "golden")
    assert code == 4
    assert findings(found, 4)[0].startswith("results/fig5/summary.parquet cannot be read: ")


def test_only_what_torch_rounds_is_another_run(tree, elsewhere):
    """The fully connected networks were trained again as well."""
    runs = [path.relative_to(tree) for path in (tree / "results").glob("*/runs/**/*.parquet")]
    moved = {run.parts[1] for run in runs if (tree / run).read_bytes() != (elsewhere / run).read_bytes()}
    assert moved == {"fig4-small"}
    assert len(runs) > 500


def test_docs_may_be_those_of_another_processor(elsewhere):
    """docs/ci/ holds what was published here; the results are those of the other arithmetic."""
    code, found = audit(elsewhere, "verify", *CI)
    assert code == 3, found
    told = findings(found, 3)
    assert any(line.startswith("docs/ci/figures/fig4-small.svg ") for line in told)
    assert all(line.startswith("docs/ci/") for line in told)
    assert not any(line.startswith("docs/ci/figures/fig2a") for line in told)


def test_make_audit_succeeds_there(elsewhere, arithmetic):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--old-file=env", "audit", "CONFIG=config/ci.yaml", f"VENV={sys.prefix}"]
    run = subprocess.run(command, cwd=elsewhere, env=environment | arithmetic, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "within tolerance in another numerics class (exit code 3)" in run.stdout


def republished(edit, docs, name: str, content: bytes) -> None:
    """Edit a copy, and what was published of it, as somebody would who knows how."""
    edit(docs / name, content)
    published = json.loads((docs / "published.json").read_text())
    published["files"][name] = sha256(docs / name)
    edit(docs / "published.json", json.dumps(published).encode())


def test_an_edited_copy_is_drift_there_too(elsewhere, edit):
    docs = elsewhere / "docs/ci"
    edit(docs / "claims.md", (docs / "claims.md").read_bytes().replace(b"**inconclusive**", b"**supported**", 1))
    edit(docs / "figures/fig4-small.svg", (docs / "figures/fig4-small.svg").read_bytes() + b"<!-- -->")
    code, found = audit(elsewhere, "verify", *CI)
    assert code == 1
    told = findings(found, 1)
    assert "docs/ci/claims.md is neither results/claims.md nor what `make publish` copied" in told
    assert any(line.startswith("docs/ci/figures/fig4-small.svg is neither") for line in told)


def test_a_verdict_that_the_results_do_not_have_is_drift(elsewhere, edit):
    docs = elsewhere / "docs/ci"
    for name, old, new in (("claims.md", b"**inconclusive**", b"**supported**"), ("claims.json", b"inconcl", b"concl")):
        republished(edit, docs, name, (docs / name).read_bytes().replace(old, new, 1))
    code, found = audit(elsewhere, "verify", *CI)
    assert code == 1
    assert {line.split()[0] for line in findings(found, 1)} == {"docs/ci/claims.json", "docs/ci/claims.md"}


@pytest.mark.parametrize(
    ("figure", "metric", "far"),
    [("fig4-small", "y", 20.0), ("fig2a", "y", 1e-6)],  # points of accuracy, and the error of an exact network
)
def test_numbers_of_a_figure_that_another_processor_does_not_explain_are_drift(elsewhere, edit, figure, metric, far):
    docs = elsewhere / "docs/ci"
    table = pq.read_table(docs / f"figures/{figure}.data.parquet")
    at = table.column_names.index(metric)
    moved = pa.BufferOutputStream()
    pq.write_table(table.set_column(at, metric, pc.add(table[metric], far)), moved)
    republished(edit, docs, f"figures/{figure}.data.parquet", moved.getvalue().to_pybytes())
    code, found = audit(elsewhere, "verify", *CI)
    assert code == 1
    name = f"figures/{figure}.data.parquet"
    assert f"docs/ci/{name} against results/{name}: differs: {metric} by {far:.3g}" in "\n".join(findings(found, 1))


def test_a_convolutional_run_is_derived_again_within_tolerance(elsewhere, arithmetic):
    """From the other arithmetic to the one that is here, with its mask for the next level."""
    run = RUN.replace("fraction-0.8", "fraction-0")
    assert audit(elsewhere, "rederive", run, **arithmetic)[0] == 0
    code, found = audit(elsewhere, "rederive", run)
    assert code == 3, found
    assert {f["path"].split(".")[-1] for f in found["findings"]} == {"parquet", "safetensors"}


def test_claims_are_derived_again_within_tolerance(tree, arithmetic):
    code, found = audit(tree, "rederive", "results/claims.md", **arithmetic)
    assert code in (0, 3), found
