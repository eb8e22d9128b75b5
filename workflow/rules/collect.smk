# in:  the runs of an experiment and its experiment.json
# out: results/<experiment>/metrics.parquet (every evaluation), results/<experiment>/summary.parquet (one row a run, with
#      the settings)


for name, experiment in CONFIG.experiments.items():

    rule:
        """Collect all runs of an experiment into two tables; the grid says which, so the command stays short."""
        name:
            f"collect_{name}"
        input:
            paths.sources(STEPS["collect"]),
            expand(paths.run(name, list(experiment.axes)), **experiment.grid),
            settings=paths.settings(name),
        output:
            metrics=paths.table(name, "metrics"),
            summary=paths.table(name, "summary"),
        log:
            paths.log(name, "collect"),
        conda:
            "../../envs/winnow.yaml"
        params:
            code=paths.code,
            grid=json.dumps(experiment.collected),
            name=name,
        shell:
            "python {params.code:q} collect --experiment {params.name:q} --settings {input.settings:q} --grid {params.grid:q}"
            " --metrics {output.metrics:q} --summary {output.summary:q} 2> {log:q}"
