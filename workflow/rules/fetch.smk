# Downloads: the only jobs that use the network; they run where Snakemake does.


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


rule prefetch_task:
    output:
        directory("resources/hub/tasks/{benchmark}"),
    log:
        "logs/prefetch/tasks/{benchmark}.log",
    wildcard_constraints:
        benchmark="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        # Whether code may run shapes no data, so it is no parameter; the script reads it in the config.
        source=lambda wildcards, output: task_source(output[0]),
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
        contents=contents_of(*filter(None, [STUDY.evaluation.wordnet])),
        member=STUDY.evaluation.wordnet.member if STUDY.evaluation.wordnet else "",
    script:
        "../scripts/install_wordnet.py"
