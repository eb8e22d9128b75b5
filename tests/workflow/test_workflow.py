"""The DAG itself: real runs of Snakemake on a copy of the tree, in a folder with a space and an accent in its name."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from project import KEPT, ROOT, snakemake

from winnow import columns
from winnow.catalogue import FIGURES, matching
from winnow.images import memory
from winnow.images.settings import ImageSettings
from winnow.two_layer.settings import TwoLayerSettings

CI = yaml.safe_load((ROOT / "config/ci.yaml").read_text())
KINDS = {name: experiment["kind"] for name, experiment in CI["experiments"].items()}
SETTINGS = {"two_layer": TwoLayerSettings, "images": ImageSettings}
TABLES = ("metrics", "summary")
TWO_LAYER = tuple(name for name, kind in KINDS.items() if kind == "two_layer")
SCORED = {"scorecard", "page_scorecard"}
IMAGES = tuple(name for name, kind in KINDS.items() if kind == "images")
AXES = {name: CI["experiments"][name]["axes"] for name in IMAGES}
SHARING = tuple(name for name in IMAGES if len(AXES[name].get("method", ())) > 1)  # one dense run for all methods


def planned(tree: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of which rule a dry run plans."""
    out = snakemake(tree, "--dry-run", *arguments)
    assert out.returncode == 0, out.stdout
    counts = re.findall(r"^([\w.-]+) +(\d+)$", out.stdout, re.MULTILINE)
    return {rule: int(count) for rule, count in counts if rule != "total"}


def stages(tree: Path) -> set[str]:
    """The stages and experiments that a dry run plans, without what stands after a dot: their parts and batches."""
    jobs = re.findall(r"rule (\S+):\n((?: +\w+: .*\n)+)", snakemake(tree, "--dry-run").stdout)
    experiments = [re.findall(r" wildcards: experiment=(\S+)", job) for _, job in jobs]
    return {"_".join([rule.split(".")[0], *e]) for (rule, _), e in zip(jobs, experiments, strict=True)} - {"all"}


def produced(tree: Path) -> dict[str, bytes]:
    """Every result and its record by its path, but for logs, run records and the report (they tell times)."""
    files = [path for path in (tree / "results").rglob("*") if path.is_file()]
    relative = {path.relative_to(tree).as_posix(): path for path in files}
    apart = ("results/logs/", "results/report.html", "results/README.md")
    kept = (name for name in relative if not name.startswith(apart) and not name.endswith(".run.json"))
    return {name: relative[name].read_bytes() for name in kept}


def test_the_list_of_columns_is_that_of_the_tables(tree):
    """No table has a column that is not listed, and none is listed that no table has."""
    found = {kind: set() for kind in (*SETTINGS, "figures")}
    for name, kind in KINDS.items():
        metrics, summary = (set(pq.read_schema(tree / f"results/{name}/{t}.parquet").names) for t in TABLES)
        swept = set(CI["experiments"][name].get("axes", ()))
        assert summary - metrics <= set(SETTINGS[kind].sweepable())
        assert swept <= metrics
        found[kind] |= metrics - swept - {"method"}
    for name in CI["figures"]:
        found["figures"] |= set(pq.read_schema(tree / f"results/figures/{name}.data.parquet").names)
    run = set(columns.RUN) - {"method"}
    assert found["two_layer"] == run | set(columns.TWO_CLASSES) | set(columns.THEORY)
    assert found["images"] == run | set(columns.IMAGES)
    assert found["figures"] <= set(columns.FIGURE)
    unseen = [columns.FIGURE[name][1] for name in set(columns.FIGURE) - found["figures"]]
    others = tuple(f"`{name}`" for name in set(FIGURES) - set(CI["figures"]))  # that CI does not draw
    assert [meaning for meaning in unseen if not meaning.startswith(others)] == []


@pytest.fixture
def edited(tree):
    """Edit a file of the tree for one test: a function of its path, a text in it, and the new text. Its time stays, as
    an archive that is unpacked over a checkout brings old ones."""
    originals = {}

    def edit(path: str, old: str, new: str) -> None:
        file = tree / path
        originals.setdefault(file, file.read_bytes())
        assert old.encode() in originals[file], f"{path} does not hold {old!r}"
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_bytes(originals[file].replace(old.encode(), new.encode()))
        os.utime(file, ns=times)

    yield edit
    for file, content in originals.items():
        file.write_bytes(content)


def test_every_output_is_there_and_complete(tree):
    names = produced(tree)
    config = yaml.safe_load((tree / "config/ci.yaml").read_text())
    for figure in config["figures"]:
        assert names[f"results/figures/{figure}.svg"].startswith(b"<?xml")
        assert names[f"results/figures/{figure}.pdf"].startswith(b"%PDF")
        assert names[f"results/figures/{figure}.png"].startswith(b"\x89PNG")
        assert pq.read_table(tree / f"results/figures/{figure}.data.parquet").num_rows > 0
    for name, experiment in config["experiments"].items():
        values = [experiment["fractions"], *experiment.get("axes", {}).values()]
        runs = experiment["seeds"] * math.prod(map(len, values))
        assert sum(path.startswith(f"results/{name}/runs/") for path in names) == runs
        assert pq.read_table(tree / f"results/{name}/summary.parquet").num_rows == runs
        whole = pq.read_table(tree / f"results/{name}/runs", partitioning=None)
        assert whole.num_rows == pq.read_table(tree / f"results/{name}/metrics.parquet").num_rows
    assert json.loads(names["results/claims.json"])["claims"]
    assert names["results/claims.md"].startswith(b"# ")
    assert not [name for name in names if name.endswith(".tmp")]


def test_what_lies_in_results_is_named_on_its_page(tree):
    page = (ROOT / "results/README.md").read_text()
    found = {path.relative_to(tree / "results").parts[0] for path in (tree / "results").rglob("*") if path.is_file()}
    named = {name: re.sub(r"\.(json|md)$", ".{json,md}", name) for name in found - set(CI["experiments"])}
    assert len(named) > 5
    for name in named.values():
        assert re.search(rf"^\| `{re.escape(name)}[`/]", page, re.MULTILINE), f"results/README.md does not name {name}"


def test_a_second_run_has_nothing_to_do(tree):
    assert planned(tree) == {}


def test_touching_every_source_reruns_nothing(tree):
    for name in KEPT:
        for path in [tree / name, *(tree / name).rglob("*")]:
            os.utime(path)
    assert planned(tree) == {}


@pytest.mark.parametrize(
    ("module", "reruns", "experiments"),
    [
        ("two_layer/pruning.py", {"train"}, TWO_LAYER),
        ("images/pruning.py", {"train"}, IMAGES),
        ("core/kernels.inc", {"core", "train"}, TWO_LAYER + IMAGES),
        ("two_layer/data.py", {"data", "train"}, TWO_LAYER),
        ("images/data.py", {"data", "train"}, IMAGES),
        ("two_layer/settings.py", {"data", "train"}, TWO_LAYER),
        ("images/settings.py", {"data", "train"}, IMAGES),
        ("images/dense.py", {"dense"}, SHARING),
        ("collect.py", {"collect"}, TWO_LAYER + IMAGES),
        ("figures/style.py", set(), ()),
        ("paper/published.csv", set(), ()),
    ],
)
def test_an_edited_module_reruns_its_jobs_and_what_follows(tree, edited, module, reruns, experiments):
    first = next(line for line in (tree / "workflow/winnow" / module).read_text().splitlines() if line)
    edited(f"workflow/winnow/{module}", first, first + " ")
    order = ["data", "train", "dense", "collect"]
    after = set(order[min(order.index(r) for r in reruns if r != "core") :]) if reruns else set()
    expected = {f"{stage}_{e}" for stage in after | (reruns - {"core"}) for e in experiments} | (reruns & {"core"})
    expected -= {f"dense_{e}" for e in set(experiments) - set(SHARING)}
    drawn = {f for f in CI["figures"] if not experiments or matching(FIGURES[f].experiments, experiments)}
    expected |= {"claims", "page_claims"} if reruns else set()
    assert stages(tree) == expected | drawn | (SCORED if any(FIGURES[name].published for name in drawn) else set())


def test_one_more_seed_adds_its_own_jobs_only(tree, edited):
    edited("config/ci.yaml", "seeds: 6\n    seeds_per_job: 6\n  fig3a", "seeds: 7\n    seeds_per_job: 6\n  fig3a")
    jobs = planned(tree)
    assert jobs == {"data_fig5.1": 1, "train_fig5.1": 3} | dict.fromkeys(
        ["collect", "fig5a", "fig5b", "all", *SCORED], 1
    )


def test_a_changed_learning_rate_reruns_that_experiment_only(tree, edited):
    edited("config/ci.yaml", "learning_rate: 0.1, max_steps", "learning_rate: 0.05, max_steps")
    assert stages(tree) == {"settings_fig5", "data_fig5", "train_fig5", "collect_fig5", "fig5a", "fig5b"} | SCORED


def test_a_single_run_can_be_asked_for(tree):
    wanted = "results/fig2a/runs/fraction-0.5/seed-4.parquet"
    before = (tree / wanted).read_bytes()
    (tree / wanted).unlink()
    run = snakemake(tree, "--cores", "1", wanted)
    assert run.returncode == 0, run.stdout
    assert (tree / wanted).read_bytes() == before
    assert planned(tree) == {}


def test_a_figure_can_be_asked_for_by_name(tree):
    assert "results/figures/fig2b.svg" in snakemake(tree, "--dry-run", "--force", "fig2b").stdout


@pytest.mark.parametrize(
    "path", ["fraction-0.25/seed-0", "fraction-zzz/seed-0", "fraction-0.50/seed-0", "fraction-0/seed-99"]
)
def test_a_run_outside_the_grid_is_refused(tree, path):
    run = snakemake(tree, "--dry-run", f"results/fig2a/runs/{path}.parquet")
    assert run.returncode != 0
    assert "No rule to produce" in run.stdout or "MissingRuleException" in run.stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "fractions: [0, 0.5, 0.9]",
            "fractions: [0, 1.5]",
            r"experiments\.fig2a\.fractions\[1\] = 1\.5: .* less than 1",
        ),
        ("max_steps: 5000", "max_step: 5000", r"experiments\.fig5\.training\.max_step = 5000: unknown key; allowed: "),
        ("n_train: 100, sigma_n: 1.5", "n_train: 0", r"experiments\.fig5\.data\.n_train = 0: "),
    ],
)
def test_a_wrong_configuration_stops_before_anything_runs(tree, edited, old, new, says):
    edited("config/ci.yaml", old, new)
    before = produced(tree)
    run = snakemake(tree, "--cores", "1")
    assert run.returncode != 0
    assert re.search(says, run.stdout), run.stdout
    assert "Traceback" not in run.stdout
    assert produced(tree) == before


def test_one_core_and_another_folder_give_the_same_bytes(tree, tmp_path):
    """A figure by the core's arithmetic and one by torch's, with results in a folder elsewhere; the core is there."""
    folder = tmp_path / "élsewhere"
    for name in ("results/core", "results/provenance/core"):
        shutil.copytree(tree / name, folder / name)
    targets = ("fig4-narrow", "fig5a")
    run = snakemake(tree, *targets, "--cores", "1", "--directory", str(folder), config=str(tree / "config/ci.yaml"))
    assert run.returncode == 0, run.stdout
    ours, theirs = produced(tree), produced(folder)
    assert {f"results/figures/{name}.svg" for name in targets} <= theirs.keys() <= ours.keys()
    assert [name for name in theirs if theirs[name] != ours[name]] == []


def test_no_job_takes_more_memory_than_the_profile_for_slurm_asks_for(tree):
    """With any build of torch. Jobs on real images ask for themselves: tests/images/test_memory.py."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    asked = int(profile["default-resources"]["mem_mb"].removesuffix(" * attempt"))
    records = [path for path in (tree / "results/provenance").rglob("*.json") if not path.match("*.run.json")]
    others = [path for path in records if json.loads(path.read_text())["step"] != "train-images"]
    taken = [json.loads(path.with_suffix(".run.json").read_text())["peak_memory_mb"] for path in others]
    assert len(taken) > 200
    assert max(*taken, memory.START / 1e6) < asked


def test_the_default_configuration_and_those_of_the_papers_scale_plan_every_figure(tmp_path):
    planned_figures = set()
    names = ("mnist", "mnist-variants", "scaling", "cifar10", "cifar10-resnet", "cifar10-widths", "sanity", "paper")
    for config in ("config.yaml", *(f"config/{name}.yaml" for name in names)):
        run = snakemake(ROOT, "--dry-run", "--forceall", "--directory", str(tmp_path), config=str(ROOT / config))
        assert run.returncode == 0, run.stdout
        planned_figures |= set(re.findall(r"results/figures/([\w-]+)\.svg", run.stdout))
    assert planned_figures == set(FIGURES)
    jobs = {rule: int(n) for rule, n in re.findall(r"^train_([\w.-]+)\.{seed} +(\d+)$", run.stdout, re.MULTILINE)}
    assert (jobs["fig3b.start"], jobs["fig3b.imp_0"], jobs["fig3b.imp_16"]) == (16 * 3, 3, 3)
    assert (jobs["fig4.start"], jobs["fig4.imp_9"]) == (9 * 2, 2)
