# Downloads: the only jobs that use the network; they run where Snakemake does.


rule fetch_archive:
    input:
        unpack(inputs_of("fetch_archive")),
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
        job=settings_of("fetch_archive"),
    script:
        "../scripts/run.py"


rule prefetch_model:
    input:
        unpack(inputs_of("prefetch_model")),
    output:
        directory("resources/{origin}/models/{repository}"),
    log:
        "logs/prefetch/{origin}/models/{repository}.log",
    wildcard_constraints:
        origin="[^/]+",
        repository="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        job=settings_of("prefetch_model"),
    script:
        "../scripts/run.py"


rule prefetch_data:
    input:
        unpack(inputs_of("prefetch_data")),
    output:
        records="resources/{origin}/datasets/{repository}.parquet",
        commit="resources/{origin}/datasets/{repository}.json",
    log:
        "logs/prefetch/{origin}/datasets/{repository}.log",
    wildcard_constraints:
        origin="[^/]+",
        repository="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        job=settings_of("prefetch_data"),
    script:
        "../scripts/run.py"


rule prefetch_task:
    input:
        unpack(inputs_of("prefetch_task")),
    output:
        directory("resources/hub/tasks/{benchmark}"),
    log:
        "logs/prefetch/hub/tasks/{benchmark}.log",
    wildcard_constraints:
        benchmark="[^/]+",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        job=settings_of("prefetch_task"),
    script:
        "../scripts/run.py"


rule install_wordnet:
    input:
        unpack(inputs_of("install_wordnet")),
    output:
        directory(WORDNET),
    log:
        "logs/install_wordnet.log",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        job=settings_of("install_wordnet"),
    script:
        "../scripts/run.py"
