# Records, general benchmarks and models, made ready for all other stages.


rule prepare_domains:
    input:
        unpack(inputs_of("prepare_domains")),
    output:
        records=expand(
            PATHS.records("{domain}", "{split}"), domain=STUDY.domains, split=["train", "validation", "test"]
        ),
        counts=[PATHS.root / "data" / domain / "counts.json" for domain in STUDY.domains],
    log:
        PATHS.log("prepare_domains"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("prepare_domains"),
        runtime=minutes("prepare_domains"),
    params:
        job=settings_of("prepare_domains"),
    script:
        "../scripts/run.py"


rule overlap:
    input:
        unpack(inputs_of("overlap")),
    output:
        PATHS.overlap,
        PATHS.overlap.with_suffix(".md"),
    log:
        PATHS.log("overlap"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("overlap"),
        runtime=minutes("overlap"),
    params:
        job=settings_of("overlap"),
    script:
        "../scripts/run.py"


rule prepare_general:
    input:
        unpack(inputs_of("prepare_general")),
    output:
        samples=[PATHS.general(f"{task}.jsonl") for task in STUDY.general.tasks],
        tasks=[PATHS.general(f"{name}.yaml") for name, task in STUDY.general.tasks.items() if task.yaml],
        text=PATHS.general("text.jsonl"),
        counts=PATHS.general("counts.json"),
    log:
        PATHS.log("prepare_general"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("prepare_general"),
        runtime=minutes("prepare_general"),
    params:
        job=settings_of("prepare_general"),
    script:
        "../scripts/run.py"


# General instructions: what methods compare a domain with, and what strategies mix in.
rule prepare_instructions:
    input:
        unpack(inputs_of("prepare_instructions")),
    output:
        drawn=[PATHS.general("anchor.parquet"), PATHS.general("replay.parquet")],
        counts=PATHS.general("instructions.json"),
    log:
        PATHS.log("prepare_instructions"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("prepare_instructions"),
        runtime=minutes("prepare_instructions"),
    params:
        job=settings_of("prepare_instructions"),
    script:
        "../scripts/run.py"


rule prepare_model:
    input:
        unpack(inputs_of("prepare_model")),
    output:
        directory(PATHS.model("{model}")),
    log:
        PATHS.log("prepare_model", "{model}"),
    wildcard_constraints:
        model=any_of(set(STUDY.every_model) - set(STUDY.skills)),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("prepare_model"),
        runtime=minutes("prepare_model"),
    params:
        job=settings_of("prepare_model"),
    script:
        "../scripts/run.py"


# A model that is taught a skill before the study begins.
rule teach_model:
    input:
        unpack(inputs_of("teach_model")),
    output:
        directory(PATHS.model("{model}")),
    log:
        PATHS.log("teach_model", "{model}"),
    benchmark:
        BENCHMARKS / "teach" / "{model}.tsv"
    wildcard_constraints:
        model=any_of(STUDY.skills),
    # Everything waits for it.
    priority: 20
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("teach_model"),
        runtime=minutes("teach_model"),
        micro_batch=teaching_batch,
    params:
        job=settings_of("teach_model"),
    script:
        "../scripts/run.py"


rule prepare_encoder:
    input:
        unpack(inputs_of("prepare_encoder")),
    output:
        directory(PATHS.encoder("{encoder}")),
    log:
        PATHS.log("prepare_encoder", "{encoder}"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("prepare_encoder"),
        runtime=minutes("prepare_encoder"),
    params:
        job=settings_of("prepare_encoder"),
    script:
        "../scripts/run.py"
