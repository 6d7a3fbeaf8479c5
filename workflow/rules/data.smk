# Downloads, records, general benchmarks and models, made ready for all other stages.
DOMAIN_SOURCES = [domain.source for domain in STUDY.domains.values()]
GENERAL_SOURCES = [task.data for task in STUDY.general.tasks.values()] + [STUDY.general.text.source]


rule fetch_archive:
    output:
        archive_path("{file}"),
    log:
        "logs/fetch_archive/{file}.log",
    params:
        archive=lambda wildcards: next(
            settings(archive) for archive in STUDY.archives.values() if archive.file == wildcards.file
        ),
    wildcard_constraints:
        file=r"[^/]+\.(whl|tar\.gz|zip)",
    conda:
        "../../envs/grads.yaml"
    localrule: True
    retries: 2
    script:
        "../scripts/fetch_archive.py"


rule install_wordnet:
    input:
        archives_of(STUDY.evaluation.wordnet),
    output:
        directory(WORDNET),
    log:
        "logs/install_wordnet.log",
    params:
        member=STUDY.evaluation.wordnet.member if STUDY.evaluation.wordnet else "",
    conda:
        "../../envs/grads.yaml"
    localrule: True
    script:
        "../scripts/install_wordnet.py"


rule prepare_domains:
    input:
        archives=archives_of(*DOMAIN_SOURCES),
        files=files_of(*DOMAIN_SOURCES),
    output:
        records=expand(PATHS.records("{domain}", "{split}"), domain=STUDY.domains, split=["train", "validation", "test"]),
        counts=[PATHS.root / "data" / domain / "counts.json" for domain in STUDY.domains],
    log:
        PATHS.root / "logs" / "prepare_domains.log",
    params:
        domains={name: settings(domain) for name, domain in STUDY.domains.items()},
        splits=settings(STUDY.splits),
        archives=archive_map(*DOMAIN_SOURCES),
        out=str(PATHS.root / "data"),
        code=code_version("grads.data.prepare"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    script:
        "../scripts/prepare_domains.py"


rule prepare_general:
    input:
        archives=archives_of(*GENERAL_SOURCES),
        files=files_of(*GENERAL_SOURCES),
        tasks=[task.yaml for task in STUDY.general.tasks.values()],
    output:
        samples=[PATHS.general(f"{task}.jsonl") for task in STUDY.general.tasks],
        tasks=[PATHS.general(f"{task}.yaml") for task in STUDY.general.tasks],
        text=PATHS.general("text.jsonl"),
        counts=PATHS.general("counts.json"),
    log:
        PATHS.root / "logs" / "prepare_general.log",
    params:
        general=settings(STUDY.general),
        archives=archive_map(*GENERAL_SOURCES),
        code=code_version("grads.data.prepare"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    script:
        "../scripts/prepare_general.py"


rule prepare_model:
    input:
        archives=lambda wildcards: archives_of(STUDY.models[wildcards.model].source),
        files=lambda wildcards: files_of(STUDY.models[wildcards.model].source),
    output:
        directory(PATHS.model("{model}")),
    log:
        PATHS.root / "logs" / "prepare_model" / "{model}.log",
    params:
        source=lambda wildcards: settings(STUDY.models[wildcards.model].source),
        code=code_version("grads.models.prepare"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    script:
        "../scripts/prepare_model.py"
