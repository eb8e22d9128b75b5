# out: results/core/libwinnow.so, of the core's C++ sources


rule core:
    """Compile the masked core once; no other job compiles."""
    output:
        paths.CORE,
    log:
        paths.log("core"),
    conda:
        "../../envs/winnow.yaml"
    params:
        code=paths.code,
        version=paths.version(STEPS["core"], "core/*.[chi]*"),
    shell:
        "python {params.code:q} core --out {output:q} 2> {log:q}"
