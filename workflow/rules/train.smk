# The core is a plain input, not an ancient() one: when an ancient input is about to be rebuilt, Snakemake 9.27 skips
# the job's other inputs too, so an edited mask module would go unnoticed until the next run.
# A level of iterative magnitude pruning has the runs of the level below among its inputs, although it reads their masks
# only: when `fractions` is edited, a mask that is there may be another level's to make, and Snakemake 9.27 compares no
# parameters of a job of which an output is missing. That the runs below are other or missing ones, it sees.
# in:  results/<experiment>/experiment.json, the data of each seed, the compiled core
# out: results/<experiment>/runs/[<axis>-<v>/…]fraction-<f>/seed-<s>.parquet, and for iterative magnitude pruning
#      results/<experiment>/masks/…/seed-<s>.safetensors, the mask that the run of the next level starts from
# The dense network of a seed is trained as one method, and its run is copied as that of each other one: a method that is
# added later needs a copy, and nothing is trained again.


for name, experiment in CONFIG.of_kind("two_layer").items():
    for (part, fractions), (batch, seeds) in itertools.product(experiment.parts.items(), experiment.batches.items()):

        rule:
            """Train the runs of a part of the fractions and a batch of seeds, each to a file of its own."""
            name:
                f"train_{name}.{batch}" if experiment.fractions_per_job == 1 else f"train_{name}.{part}-{batch}"
            input:
                core=paths.CORE,
                settings=paths.settings(name),
                data=expand(paths.data(name, experiment.data_axes), seed=seeds, allow_missing=True),
            output:
                expand(paths.run(name, list(experiment.axes)), seed=seeds, fraction=fractions, allow_missing=True),
            log:
                paths.log(name, "train", *paths.folders(list(experiment.axes)), f"fractions-{part}", f"seeds-{batch}"),
            wildcard_constraints:
                **experiment.wildcard_constraints,
            group:
                "train"
            conda:
                "../../envs/winnow.yaml"
            threads: 1
            params:
                code=paths.code,
                version=paths.version(STEPS["train"]),
                point=[f"{axis}={{{axis}}}" for axis in experiment.axes],
                fractions=fractions,
                seeds=seeds,
            shell:
                "python {params.code:q} train --settings {input.settings:q} --core {input.core:q} --set {params.point:q}"
                " --fraction {params.fractions:q} --seeds {params.seeds:q}"
                " --data {input.data:q} --out {output:q} 2> {log:q}"


for name, experiment in CONFIG.of_kind("images").items():
    for stage in experiment.stages(name):
        for batch, seeds in experiment.batches.items():

            rule:
                """Prune and train networks on images: one fraction, a batch of seeds, each to a file of its own."""
                name:
                    f"train_{name}.{stage.name}.{batch}"
                input:
                    core=paths.CORE,
                    settings=paths.settings(name),
                    data=expand(paths.data(name, experiment.data_axes), seed=seeds, allow_missing=True),
                    masks=expand(stage.masks, seed=seeds, allow_missing=True),
                    below=expand(stage.below, seed=seeds, allow_missing=True),
                output:
                    runs=expand(stage.run, seed=seeds, allow_missing=True),
                    masks=expand(stage.next_masks, seed=seeds, allow_missing=True),
                log:
                    paths.log(name, "train", stage.folder, f"seeds-{batch}"),
                wildcard_constraints:
                    **stage.constraints,
                # The levels of imp wait for one another: a chain that starts last ends alone, beside idle cores.
                priority: int(bool(stage.next_masks))
                conda:
                    "../../envs/winnow.yaml"
                threads: 1
                resources:
                    **experiment.resources,
                params:
                    code=paths.code,
                    version=paths.version(STEPS["train-images"]),
                    point=[f"{axis}={value}" for axis, value in stage.point.items()],
                    fraction=stage.fraction,
                    next_fraction=stage.next_fraction,
                    seeds=seeds,
                shell:
                    "python {params.code:q} train-images --settings {input.settings:q} --core {input.core:q}"
                    " --set {params.point:q} --fraction {params.fraction:q} --seeds {params.seeds:q} --data {input.data:q}"
                    " --masks {input.masks:q} --out {output.runs:q}"
                    " --next-fraction {params.next_fraction:q} --next-masks {output.masks:q} 2> {log:q}"

    for batch, seeds in experiment.batches.items() if experiment.shared else ():

        rule:
            """The dense network is the same for all methods: trained as one of them, it is the run of each other."""
            name:
                f"dense_{name}.{batch}"
            input:
                runs=expand(experiment.dense_run(name, experiment.shared[0]), seed=seeds, allow_missing=True),
            output:
                expand([experiment.dense_run(name, m) for m in experiment.shared[1:]], seed=seeds, allow_missing=True),
            log:
                paths.log(
                    name,
                    "dense",
                    *paths.folders([axis for axis in experiment.axes if axis != "method"]),
                    f"seeds-{batch}",
                ),
            wildcard_constraints:
                **experiment.wildcard_constraints,
            localrule: True
            conda:
                "../../envs/winnow.yaml"
            params:
                code=paths.code,
                version=paths.version(STEPS["dense-run"]),
                methods=experiment.shared[1:],
            shell:
                "python {params.code:q} dense-run --runs {input.runs:q} --methods {params.methods:q} --out {output:q} 2> {log:q}"
