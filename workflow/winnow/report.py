"""The graph that the report opens on: a node a stage, one file of workflow/rules/.

Snakemake's own has a node a rule, and each batch of seeds has a rule: 150 of them in the default run.
"""

from pathlib import Path


def draw_stages() -> None:
    """Let reports show the stages. No option of Snakemake 9.27 does that."""
    from snakemake.report import html_reporter

    html_reporter.rulegraph_spec = stages


def stages(dag) -> tuple[dict[str, list], int, int]:
    """The graph as Snakemake's function of this place gives that of the rules: nodes and links, width and height."""
    names = list(dict.fromkeys(name for level in dag.toposorted() for name in sorted(map(_stage, level))))
    place = {name: number for number, name in enumerate(name for name in names if name != "Snakefile")}
    pairs = {(_stage(before), _stage(job)) for job in dag.jobs for before in dag.dependencies[job]}
    links = [
        {"source": place[a], "target": place[b], "sourcerule": a, "targetrule": b, "value": 1}
        for a, b in sorted(pairs)
        if a != b and {a, b} <= place.keys()
    ]
    direct, around = ([link for link in links if (link["target"] - link["source"] == 1) == near] for near in (1, 0))
    nodes = [{"rule": name, "fx": 10, "fy": 50 * number} for name, number in place.items()]
    return {"nodes": nodes, "links": around, "links_direct": direct}, 100, 50 * len(nodes)


def _stage(job) -> str:
    return Path(str(job.rule.snakefile)).stem
