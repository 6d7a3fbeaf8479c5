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
        mem_mb=memory("select"),
        runtime=minutes("select"),
    params:
        job=settings_of("select"),
    script:
        "../scripts/run.py"
