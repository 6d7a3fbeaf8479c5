# General instructions, where the study has some: what methods compare a domain with, and what strategies mix in.


rule prepare_instructions:
    input:
        archives=archives_of(*INSTRUCTION_SOURCES),
        files=files_of(*INSTRUCTION_SOURCES),
        tests=[PATHS.records(domain, "test") for domain in STUDY.domains],
        general=GENERAL_ITEMS,
    output:
        drawn=DRAWN,
        counts=PATHS.general("instructions.json"),
    log:
        PATHS.root / "logs" / "prepare_instructions.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        instructions=settings(INSTRUCTIONS),
        seed=STUDY.general.seed,
        archives=archive_map(*INSTRUCTION_SOURCES),
        contents=contents_of(*INSTRUCTION_SOURCES),
        code=version_of("prepare_instructions", "grads.data.instructions"),
    script:
        "../scripts/prepare_instructions.py"
