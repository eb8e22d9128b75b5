"""`audit export`: the results, their code and their history as a Workflow Run RO-Crate (Provenance Run Crate 0.5).

https://www.researchobject.org/workflow-run-crate/profiles/0.5/provenance_run_crate. Every job is an action with its
inputs, outputs, parameters and times; every file has its sha256.
"""

import json
import shutil
from pathlib import Path

from ..errors import WinnowError
from ..files import write_json
from .plan import planned
from .records import CHECKOUT, REQUIREMENTS, record_path, sha256
from .results import Records, results, seen

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
LICENSE = "https://spdx.org/licenses/MIT"
FORMATS = {".parquet": "application/vnd.apache.parquet", ".npz": "application/zip", ".json": "application/json"}
FORMATS |= {".svg": "image/svg+xml", ".pdf": "application/pdf", ".png": "image/png", ".md": "text/markdown"}
FORMATS |= {".html": "text/html", ".py": "text/x-python", ".yaml": "application/yaml", ".csv": "text/csv"}


def export(folder: Path, config: Path) -> None:
    """Write the crate into a new folder, with a copy of every result of a configuration, its record and source."""
    if folder.exists():
        raise WinnowError(f"{folder}: exists already; choose a new folder")
    records = Records()
    jobs = {}
    plan = planned(config)
    paths = [path for path in results() if path in plan]
    for path in paths:
        record = records.get(path)
        if record is None or path not in record["outputs"]:
            raise WinnowError(f"{path}: has no record; `audit verify` tells more")
        jobs[id(record)] = record, records.run(path)
    if not jobs:
        raise WinnowError("nothing to export: there are no results in this working directory")
    jobs = sorted(jobs.values(), key=lambda job: job[1]["start"])
    code = {"Snakefile", REQUIREMENTS, *(p.relative_to(CHECKOUT).as_posix() for p in CHECKOUT.glob("workflow/rules/*"))}
    code = sorted(code.union(*(record["code"] for record, _ in jobs), {"workflow/__main__.py", "LICENSE"}))
    code = [name for name in code if (CHECKOUT / name).is_file()]
    for name in paths:
        _copy(Path(name), folder / name)
        _copy(Path(record_path(name)), folder / record_path(name))
    for name in code:
        _copy(CHECKOUT / name, folder / name)
    _copy(config, folder / "config.yaml")
    write_json(folder / "ro-crate-metadata.json", {"@context": CONTEXT, "@graph": graph(folder, jobs, code)})
    told = ", ".join(f"{n:,} {what}" for what, n in seen(paths, records).items())
    print(f"{folder}: {told}, {len(code)} files of code")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def graph(folder: Path, jobs: list[tuple[dict, dict]], code: list[str]) -> list[dict]:
    """The entities of the crate."""
    outputs = sorted({name for record, _ in jobs for name in record["outputs"]})
    parts = [*outputs, *map(record_path, outputs), *code, "config.yaml"]
    steps = list(dict.fromkeys(record["step"] for record, _ in jobs))
    start, end = jobs[0][1]["start"], max(run["end"] for _, run in jobs)
    final = [name for name in outputs if name.count("/") == 1 or name.startswith("results/figures/")]
    entities = [
        _thing(
            "ro-crate-metadata.json", "CreativeWork", about=_ref("./"), conformsTo=_ref("https://w3id.org/ro/crate/1.1")
        ),
        _thing(
            "./",
            "Dataset",
            name="winnow: figures of random pruning at initialization, with their history",
            description="Every result of a run of the workflow, the code that made it, and one action for every job.",
            datePublished=end,
            license=_ref(LICENSE),
            author=_ref("#winnow"),
            publisher=_ref("#winnow"),
            conformsTo=_refs(PROFILES),
            hasPart=_refs(parts),
            mainEntity=_ref("Snakefile"),
            mentions=[_ref("#run"), _ref("#engine-run"), *(_ref(f"#job-{i}") for i in range(len(jobs)))],
        ),
        *(_thing(url, "CreativeWork", name=name, version=url.split("/")[-1]) for url, name in PROFILES.items()),
        _thing(LICENSE, "CreativeWork", name="MIT License", description="The license of the code and of the results."),
        *_workflow(steps, code),
        *_run(jobs, start, end, final),
    ]
    for i, (record, run) in enumerate(jobs):
        entities += _job(i, record, run)
    typed = {entity["@id"] for entity in entities}
    return entities + [_file(folder, name) for name in parts if name not in typed]


def _workflow(steps: list[str], code: list[str]) -> list[dict]:
    """The workflow, its steps and the program that each of them runs."""
    output = "#results"
    tools = [
        _thing(f"#tool-{s}", "SoftwareApplication", name=f"python workflow {s}", description=f"step {s}") for s in steps
    ]
    return [
        _thing(
            "Snakefile",
            ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            name="winnow",
            sha256=sha256(CHECKOUT / "Snakefile"),
            programmingLanguage=_ref("#snakemake"),
            input=_ref("#configuration"),
            output=_ref(output),
            hasPart=_refs(f"#tool-{step}" for step in steps),
            step=_refs(f"#step-{step}" for step in steps),
        ),
        _thing(
            "#snakemake",
            ["ComputerLanguage", "SoftwareApplication"],
            name="Snakemake",
            url="https://snakemake.github.io",
        ),
        _formal("#configuration", "configuration"),
        _formal(output, "results", multipleValues=True),
        *(
            _thing(f"#step-{s}", "HowToStep", position=str(i), workExample=_ref(f"#tool-{s}"))
            for i, s in enumerate(steps)
        ),
        *tools,
    ]


def _run(jobs: list[tuple[dict, dict]], start: str, end: str, final: list[str]) -> list[dict]:
    """The run of the workflow as a whole, and of its engine."""
    agent = _ref("#winnow")
    times = {"startTime": start, "endTime": end, "agent": agent}
    controls = [
        _thing(
            f"#control-{i}",
            "ControlAction",
            name=f"run {r['step']}",
            instrument=_ref(f"#step-{r['step']}"),
            object=_ref(f"#job-{i}"),
        )
        for i, (r, _) in enumerate(jobs)
    ]
    return [
        _thing("#winnow", "Organization", name="winnow"),
        _thing(
            "#run",
            "CreateAction",
            name="run of the workflow",
            instrument=_ref("Snakefile"),
            object=_ref("config.yaml"),
            result=_refs(final),
            actionStatus="http://schema.org/CompletedActionStatus",
            **times,
        ),
        _thing(
            "#engine-run",
            "OrganizeAction",
            name="run of Snakemake",
            instrument=_ref("#snakemake"),
            object=_refs(control["@id"] for control in controls),
            result=_ref("#run"),
            **times,
        ),
        *controls,
    ]


def _job(i: int, record: dict, run: dict) -> list[dict]:
    """One job: what it was given, what it made, when."""
    values = [
        _thing(f"#job-{i}-{name or 'name'}", "PropertyValue", name=name or "name", value=json.dumps(value))
        for name, value in record["parameters"].items()
    ]
    action = _thing(
        f"#job-{i}",
        "CreateAction",
        name=f"python workflow {record['step']}",
        description=f"wrote {', '.join(record['outputs'])}",
        instrument=_ref(f"#tool-{record['step']}"),
        object=_refs(
            [*(name for name in record["inputs"] if name.startswith("results/")), *(v["@id"] for v in values)]
        ),
        result=_refs(record["outputs"]),
        startTime=run["start"],
        endTime=run["end"],
        agent=_ref("#winnow"),
        actionStatus="http://schema.org/CompletedActionStatus",
    )
    return [action, *values]


def _file(folder: Path, name: str) -> dict:
    """A file of the crate with its hash."""
    kind = FORMATS.get(Path(name).suffix, "application/octet-stream" if name.endswith(".so") else "text/plain")
    extra = {"exampleOfWork": _ref("#configuration")} if name == "config.yaml" else {}
    file = folder / name
    return _thing(
        name, "File", name=name, sha256=sha256(file), contentSize=str(file.stat().st_size), encodingFormat=kind, **extra
    )


def _thing(identifier: str, kind: str | list[str], **properties) -> dict:
    return {"@id": identifier, "@type": kind} | properties


def _formal(identifier: str, name: str, **properties) -> dict:
    profile = _ref("https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE")
    return _thing(identifier, "FormalParameter", additionalType="File", name=name, conformsTo=profile, **properties)


def _ref(identifier: str) -> dict:
    return {"@id": identifier}


def _refs(identifiers) -> list[dict] | dict:
    """References; a single one stands without a list."""
    references = [_ref(identifier) for identifier in identifiers]
    return references[0] if len(references) == 1 else references
