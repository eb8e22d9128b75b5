# in:  the numbers that the figures draw; the metrics of the calibration
# out: results/scorecard.{json,md}, results/calibration.{json,md} where one is configured, and results/pages/<name>.html
#      of each, which the report shows


rule scorecard:
    """Hold every published point against ours."""
    input:
        paths.sources(STEPS["scorecard"]),
        data=[paths.figure(name, "data.parquet") for name in CONFIG.figures if name in PUBLISHED],
    output:
        json=paths.scorecard("json"),
        markdown=paths.scorecard("md"),
    log:
        paths.log("scorecard"),
    localrule: True
    conda:
        "../../envs/winnow.yaml"
    params:
        code=paths.code,
        names=[name for name in CONFIG.figures if name in PUBLISHED],
    shell:
        "python {params.code:q} scorecard --figures {params.names:q} --data {input.data:q}"
        " --json {output.json:q} --markdown {output.markdown:q} 2> {log:q}"


if CONFIG.calibrations:

    rule calibrate:
        """Rank the readings of figure 2 by their distance to what was published."""
        input:
            paths.sources(STEPS["calibrate"]),
            paths.published(),
            settings=[paths.settings(name) for name in CONFIG.calibrations],
            metrics=[paths.table(name, "metrics") for name in CONFIG.calibrations],
        output:
            json=paths.calibration("json"),
            markdown=paths.calibration("md"),
        log:
            paths.log("calibrate"),
        conda:
            "../../envs/winnow.yaml"
        params:
            code=paths.code,
        shell:
            "python {params.code:q} calibrate --settings {input.settings:q} --metrics {input.metrics:q}"
            " --json {output.json:q} --markdown {output.markdown:q} 2> {log:q}"


for name in PAGES:

    rule:
        """Make a page of a table, for the report."""
        name:
            f"page_{name}"
        input:
            paths.sources(STEPS["page"]),
            markdown=f"{paths.RESULTS}/{name}.md",
        output:
            report(
                paths.page(name),
                caption=f"../report/{name}.rst",
                category="Claims and scorecard",
                labels={"entry": f"{name}: {PAGES[name]}"},
            ),
        log:
            paths.log("pages", name),
        localrule: True
        conda:
            "../../envs/winnow.yaml"
        params:
            code=paths.code,
        shell:
            "python {params.code:q} page {input.markdown:q} --out {output:q} 2> {log:q}"
