# Selections: what each method keeps, from stored signals alone.


rule select:
    input:
        unpack(selection_input),
        files=lambda wildcards: outside(arm_files(wildcards)),
    output:
        selection=PATHS.selection(CELL),
        summary=PATHS.selection(CELL).with_suffix(".json"),
    log:
        PATHS.root / "logs" / "select" / f"{CELL}.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        method=lambda wildcards: STUDY.arms[wildcards.arm].method,
        parameters=lambda wildcards: STUDY.arms[wildcards.arm].parameters,
        ratio=lambda wildcards: wildcards.ratio,
        seed=seed_for("selection"),
        references=lambda wildcards: {
            f"arm_{other}": other for other in references(STUDY, wildcards.arm, wildcards.ratio)
        },
        texts=lambda wildcards: {f"texts_{split}": split for split in sorted(arm_needs(STUDY, wildcards.arm).texts)},
        contents=lambda wildcards: contents_of(files=arm_files(wildcards)),
        code=lambda wildcards: version_of(
            "select", "grads.selection.run", "grads.signals.store", module_of(STUDY.arms[wildcards.arm].method)
        ),
    script:
        "../scripts/select.py"
