# in:  the settings and metrics of the experiments that claims are judged from, as far as they are configured
# out: results/claims.{json,md}


if CONFIG.judged:

    rule claims:
        """Judge every claim of the paper: estimate, interval, test and verdict."""
        input:
            paths.sources(STEPS["claims"]),
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
        shell:
            "python {params.code:q} claims --settings {input.settings:q} --metrics {input.metrics:q}"
            " --json {output.json:q} --markdown {output.markdown:q} 2> {log:q}"
