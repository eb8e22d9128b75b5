# in:  the settings and metrics of the experiments that claims are judged from, as far as they are
#      configured; the numbers that the figures draw
# out: results/claims.{json,md}, results/scorecard.{json,md}


if CONFIG.judged:

    rule claims:
        """Judge every claim of the paper: estimate, interval, test and verdict."""
        input:
            settings=[paths.settings(name) for name in CONFIG.judged],
            metrics=[paths.table(name, "metrics") for name in CONFIG.judged],
        output:
            json=paths.claims("json"),
            markdown=paths.claims("md"),
        log:
            paths.log("claims"),
        conda:
            "../../envs/winnow.yaml"
        params:
            code=paths.code,
            version=paths.version(STEPS["claims"]),
        shell:
            "python {params.code:q} claims --settings {input.settings:q} --metrics {input.metrics:q}"
            " --json {output.json:q} --markdown {output.markdown:q} 2> {log:q}"


rule scorecard:
    """Hold every published point against ours."""
    input:
        data=[paths.figure(name, "data.parquet") for name in SCORED],
        settings=[paths.settings(FIGURES[name].experiments[0]) for name in SCORED],
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
        version=paths.version(STEPS["scorecard"]),
        names=SCORED,
    shell:
        "python {params.code:q} scorecard --figures {params.names:q} --data {input.data:q} --settings {input.settings:q}"
        " --json {output.json:q} --markdown {output.markdown:q} 2> {log:q}"
