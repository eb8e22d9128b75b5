# in: the C++ sources of the core    out: results/core/libwinnow.so


rule core:
    """Compile the masked core once; no other job compiles."""
    input:
        paths.core_sources(),
        paths.sources(STEPS["core"]),
    output:
        paths.CORE,
    log:
        paths.log("core"),
    conda:
        "../../envs/winnow.yaml"
    params:
        code=paths.code,
    shell:
        "python {params.code:q} core --out {output:q} 2> {log:q}"
