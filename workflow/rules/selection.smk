# Selections: what each method keeps, from stored signals alone.


rule select:
    input:
        unpack(inputs_of("select")),
    output:
        selection=PATHS.selection(CELL),
        summary=PATHS.selection(CELL).with_suffix(".json"),
    log:
        PATHS.log("select", CELL),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("select"),
    script:
        "../scripts/run.py"
