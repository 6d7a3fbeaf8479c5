# Records, general benchmarks and models, made ready for all other stages.
DOMAIN_SOURCES = [domain.source for domain in STUDY.domains.values()]
GENERAL_SOURCES = [task.data for task in STUDY.general.tasks.values()] + [STUDY.general.text.source]

GENERAL_ITEMS = [PATHS.general(f"{name}.jsonl") for name in [*STUDY.general.tasks, "text"]]
# General instructions, where the study has some: their source, and what is drawn of them.
INSTRUCTIONS = STUDY.general.instructions
INSTRUCTION_SOURCES = [INSTRUCTIONS.source] if INSTRUCTIONS else []
DRAWN = [PATHS.general("anchor.parquet"), PATHS.general("replay.parquet")] if INSTRUCTIONS else []


rule prepare_domains:
    input:
        archives=archives_of(*DOMAIN_SOURCES),
        files=files_of(*DOMAIN_SOURCES),
        general=GENERAL_ITEMS if STUDY.overlap != "report" else [],
    output:
        records=expand(
            PATHS.records("{domain}", "{split}"), domain=STUDY.domains, split=["train", "validation", "test"]
        ),
        counts=[PATHS.root / "data" / domain / "counts.json" for domain in STUDY.domains],
    log:
        PATHS.root / "logs" / "prepare_domains.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        domains={name: domain_settings(domain) for name, domain in STUDY.domains.items()},
        splits=settings(STUDY.splits),
        overlap=STUDY.overlap,
        archives=archive_map(*DOMAIN_SOURCES),
        code=version_of("prepare_domains", "grads.data.prepare"),
    script:
        "../scripts/prepare_domains.py"


rule overlap:
    input:
        records=rules.prepare_domains.output.records,
        general=GENERAL_ITEMS,
        instructions=DRAWN,
    output:
        PATHS.overlap,
        PATHS.overlap.with_suffix(".md"),
    log:
        PATHS.root / "logs" / "overlap.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        overlap=STUDY.overlap,
        code=version_of("overlap", "grads.data.overlap_report"),
    script:
        "../scripts/overlap.py"


rule prepare_general:
    input:
        archives=archives_of(*GENERAL_SOURCES),
        files=files_of(*GENERAL_SOURCES),
        tasks=task_files(STUDY.general),
    output:
        samples=[PATHS.general(f"{task}.jsonl") for task in STUDY.general.tasks],
        tasks=[PATHS.general(f"{name}.yaml") for name, task in STUDY.general.tasks.items() if task.yaml],
        text=PATHS.general("text.jsonl"),
        counts=PATHS.general("counts.json"),
    log:
        PATHS.root / "logs" / "prepare_general.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        general=general_settings(STUDY.general),
        archives=archive_map(*GENERAL_SOURCES),
        code=version_of("prepare_general", "grads.data.prepare"),
    script:
        "../scripts/prepare_general.py"


if INSTRUCTIONS:

    include: "instructions.smk"


rule prepare_model:
    input:
        archives=lambda wildcards: archives_of(STUDY.every_model[wildcards.model].source),
        files=lambda wildcards: files_of(STUDY.every_model[wildcards.model].source),
    output:
        directory(PATHS.model("{model}")),
    log:
        PATHS.root / "logs" / "prepare_model" / "{model}.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        source=lambda wildcards: settings(STUDY.every_model[wildcards.model].source),
        code=version_of("prepare_model", "grads.models.prepare"),
    script:
        "../scripts/prepare_model.py"
