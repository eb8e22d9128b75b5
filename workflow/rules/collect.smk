# in:  the runs of an experiment and its experiment.json
# out: results/<experiment>/metrics.parquet (every evaluation), results/<experiment>/summary.parquet (one row a run, with
#      the settings)


rule collect:
    """Collect all runs of an experiment into two tables; the grid says which, so the command stays short."""
    input:
        lambda wildcards: expand(
            paths.run(wildcards.experiment, list(CONFIG.experiments[wildcards.experiment].axes)),
            **CONFIG.experiments[wildcards.experiment].grid,
        ),
        settings=paths.settings("{experiment}"),
    output:
        metrics=paths.table("{experiment}", "metrics"),
        summary=paths.table("{experiment}", "summary"),
    log:
        paths.log("{experiment}", "collect"),
    wildcard_constraints:
        experiment="|".join(CONFIG.experiments),
    conda:
        "../../envs/winnow.yaml"
    params:
        code=paths.code,
        version=paths.version(STEPS["collect"]),
        grid=lambda wildcards: json.dumps(CONFIG.experiments[wildcards.experiment].collected),
    shell:
        "python {params.code:q} collect --experiment {wildcards.experiment:q} --settings {input.settings:q}"
        " --grid {params.grid:q} --metrics {output.metrics:q} --summary {output.summary:q} 2> {log:q}"
