# in:  results/claims.md, results/scorecard.md
# out: results/pages/<name>.html of each, which the report shows


for name in PAGES:

    rule:
        """Make a page of a table, for the report."""
        name:
            f"page_{name}"
        input:
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
            version=paths.version(STEPS["page"]),
        shell:
            "python {params.code:q} page {input.markdown:q} --out {output:q} 2> {log:q}"
