# in:  the configuration, and the files that it names (folders of images)
# out: results/<experiment>/experiment.json, results/<experiment>/data/[<axis>-<v>/…]seed-<s>.npz


rule settings:
    """Write the checked settings that the jobs of an experiment read."""
    output:
        paths.settings("{experiment}"),
    log:
        paths.log("{experiment}", "settings"),
    wildcard_constraints:
        experiment="|".join(CONFIG.experiments),
    localrule: True
    conda:
        "../../envs/winnow.yaml"
    params:
        code=paths.code,
        version=paths.version(STEPS["settings"]),
        settings=lambda wildcards: CONFIG.run_settings(wildcards.experiment).model_dump_json(),
    shell:
        "python {params.code:q} settings --json {params.settings:q} --out {output:q} 2> {log:q}"


for name, experiment in CONFIG.experiments.items():
    for batch, seeds in experiment.batches.items():

        rule:
            """Draw, or split into, the training and test examples of a batch of seeds."""
            name:
                f"data_{name}.{batch}"
            input:
                list(experiment.data_files),
                settings=paths.settings(name),
            output:
                expand(paths.data(name, experiment.data_axes), seed=seeds, allow_missing=True),
            log:
                paths.log(name, "data", *paths.folders(experiment.data_axes), f"seeds-{batch}"),
            wildcard_constraints:
                **experiment.wildcard_constraints,
            group:
                "data"
            conda:
                "../../envs/winnow.yaml"
            params:
                code=paths.code,
                version=paths.version(STEPS[experiment.data_step]),
                files=experiment.data_files,
                point=[f"{axis}={{{axis}}}" for axis in experiment.data_axes],
                seeds=seeds,
                step=experiment.data_step,
            shell:
                "python {params.code:q} {params.step:q} --settings {input.settings:q} --set {params.point:q}"
                " --seeds {params.seeds:q} --out {output:q} 2> {log:q}"
