# Selections: what each method keeps, from stored signals alone.


def selection_input(wildcards):
    """Return the signal stores, and the other arms' selections, that the arm's method reads."""
    cell = cell_of(wildcards)
    points = {"tokens": "tokens", "base": "base", "warm": f"warm-{cell.seed}"}
    needs = arm_needs(STUDY, cell.arm)
    stores = {name: PATHS.store(cell.model, cell.domain, points[name]) for name in ["tokens", *sorted(needs.stores)]}
    return stores | {f"arm_{other}": PATHS.selection(replace(cell, arm=other)) for other in needs.arms}


rule select:
    input:
        unpack(selection_input),
    output:
        selection=PATHS.selection(CELL),
        summary=PATHS.selection(CELL).with_suffix(".json"),
    log:
        PATHS.root / "logs" / "select" / f"{CELL}.log",
    params:
        method=lambda wildcards: STUDY.arms[wildcards.arm].method,
        parameters=lambda wildcards: STUDY.arms[wildcards.arm].parameters,
        ratio=lambda wildcards: wildcards.ratio,
        seed=seed_for("selection"),
        references=lambda wildcards: {f"arm_{other}": other for other in arm_needs(STUDY, wildcards.arm).arms},
        code=lambda wildcards: code_version("grads.methods.stage", module_of(STUDY.arms[wildcards.arm].method)),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    script:
        "../scripts/select.py"
