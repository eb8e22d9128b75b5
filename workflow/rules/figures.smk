# in:  the metrics of the experiments that a figure shows
# out: results/figures/<figure>.{svg,pdf,png} and <figure>.data.parquet (exactly the numbers drawn)
# A caption is a jinja template that says the settings that were run: snakemake.params.settings[<experiment>].<section>.<key>.
# One label an entry: of two labels the report makes a toggle where a category has two entries, and then shows neither.


for name in CONFIG.figures:
    experiments = matching(FIGURES[name].experiments, CONFIG.experiments)

    rule:
        """Draw one figure; its rule has its name, so that `snakemake fig2a` works."""
        name:
            name
        input:
            settings=[paths.settings(e) for e in experiments],
            metrics=[paths.table(e, "metrics") for e in experiments],
        output:
            svg=report(
                paths.figure(name, "svg"),
                caption=f"../report/{FIGURES[name].caption(name)}",
                category=FIGURES[name].category,
                labels={"entry": f"{name}: {FIGURES[name].title}"},
            ),
            pdf=paths.figure(name, "pdf"),
            png=paths.figure(name, "png"),
            data=paths.figure(name, "data.parquet"),
        log:
            paths.log("figures", name),
        conda:
            "../../envs/winnow.yaml"
        params:
            code=paths.code,
            version=paths.version(STEPS["figure"], f"figures.{FIGURES[name].module}", paths.CURVES),
            function=FIGURES[name].function(name),
            settings={e: CONFIG.run_settings(e).settings.model_dump(mode="json") for e in experiments},  # for the caption
        shell:
            "python {params.code:q} figure {params.function:q} --settings {input.settings:q} --metrics {input.metrics:q}"
            " --svg {output.svg:q}"
            " --pdf {output.pdf:q} --png {output.png:q} --data {output.data:q} 2> {log:q}"
