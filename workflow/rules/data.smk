# Downloads, records, general benchmarks and models, made ready for all other stages.
DOMAIN_SOURCES = [domain.source for domain in STUDY.domains.values()]
GENERAL_SOURCES = [task.data for task in STUDY.general.tasks.values()] + [STUDY.general.text.source]


rule fetch_archive:
    output:
        archive_path("{file}"),
    log:
        "logs/fetch_archive/{file}.log",
    wildcard_constraints:
        file=r"[^/]+\.(whl|tar\.gz|zip)",
    retries: 2
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        archive=lambda wildcards: next(
            settings(archive) for archive in STUDY.archives.values() if archive.file == wildcards.file
        ),
    script:
        "../scripts/fetch_archive.py"


rule prefetch_model:
    output:
        directory("resources/hub/models/{repository}"),
    log:
        "logs/prefetch/models/{repository}.log",
    wildcard_constraints:
        repository="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        source=lambda wildcards, output: hub_source(output[0]),
    script:
        "../scripts/prefetch.py"


rule prefetch_data:
    output:
        records="resources/hub/datasets/{repository}.parquet",
        commit="resources/hub/datasets/{repository}.json",
    log:
        "logs/prefetch/datasets/{repository}.log",
    wildcard_constraints:
        repository="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        source=lambda wildcards, output: hub_source(output.records),
    script:
        "../scripts/prefetch.py"


rule install_wordnet:
    input:
        archives_of(STUDY.evaluation.wordnet),
    output:
        directory(WORDNET),
    log:
        "logs/install_wordnet.log",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        member=STUDY.evaluation.wordnet.member if STUDY.evaluation.wordnet else "",
    script:
        "../scripts/install_wordnet.py"


rule prepare_domains:
    input:
        archives=archives_of(*DOMAIN_SOURCES),
        files=files_of(*DOMAIN_SOURCES),
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
        domains={name: settings(domain) for name, domain in STUDY.domains.items()},
        splits=settings(STUDY.splits),
        archives=archive_map(*DOMAIN_SOURCES),
        code=code_version("grads.data.prepare"),
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
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        general=settings(STUDY.general),
        archives=archive_map(*GENERAL_SOURCES),
        code=code_version("grads.data.prepare"),
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
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        source=lambda wildcards: settings(STUDY.models[wildcards.model].source),
        code=code_version("grads.models.prepare"),
    script:
        "../scripts/prepare_model.py"
