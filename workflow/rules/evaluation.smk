# Evaluation: one job per trained model for domain answers, general tasks and drift; metrics from stored answers.
UNTUNED_RUNS = [PATHS.run(Cell("{model}", domain, "untuned", "0", 0)) for domain in STUDY.domains]


rule evaluate:
    input:
        unpack(inputs_of("evaluate")),
    output:
        predictions=PATHS.run(CELL) / "predictions.jsonl",
        general=PATHS.run(CELL) / "general.json",
        documents=documents_path(PATHS.run(CELL) / "general.json"),
    log:
        PATHS.log("evaluate", CELL),
    benchmark:
        BENCHMARKS / "evaluate" / f"{CELL}.tsv"
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("evaluate"),
        runtime=minutes("evaluate"),
    params:
        job=settings_of("evaluate"),
    script:
        "../scripts/run.py"


# What the model answers to the tests of other domains, where the study asks for that.
rule evaluate_cross:
    input:
        unpack(inputs_of("evaluate_cross")),
    output:
        cross=directory(PATHS.cross_predictions(CELL)),
    log:
        PATHS.log("evaluate_cross", CELL),
    benchmark:
        BENCHMARKS / "evaluate_cross" / f"{CELL}.tsv"
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("evaluate_cross"),
        runtime=minutes("evaluate_cross"),
    params:
        job=settings_of("evaluate_cross"),
    script:
        "../scripts/run.py"


# The untuned model answers all domains in one job, and its general part is measured once.
rule evaluate_untuned:
    input:
        unpack(inputs_of("evaluate_untuned")),
    output:
        predictions=[run / "predictions.jsonl" for run in UNTUNED_RUNS],
        general=PATHS.untuned_general("{model}"),
        documents=documents_path(PATHS.untuned_general("{model}")),
    log:
        PATHS.log("evaluate", "{model}-untuned"),
    benchmark:
        BENCHMARKS / "evaluate" / "{model}-untuned.tsv"
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("evaluate_untuned"),
        runtime=minutes("evaluate_untuned"),
    params:
        job=settings_of("evaluate_untuned"),
    script:
        "../scripts/run.py"


ruleorder: evaluate_untuned > evaluate


rule metrics:
    input:
        unpack(inputs_of("metrics")),
    output:
        PATHS.run(CELL) / "metrics.json",
    log:
        PATHS.log("metrics", CELL),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("metrics"),
        runtime=minutes("metrics"),
    params:
        job=settings_of("metrics"),
    script:
        "../scripts/run.py"


rule metrics_cross:
    input:
        unpack(inputs_of("metrics_cross")),
    output:
        PATHS.cross(CELL, "{target}"),
    log:
        PATHS.log("metrics_cross", f"{CELL}-{{target}}"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("metrics_cross"),
        runtime=minutes("metrics_cross"),
    params:
        job=settings_of("metrics_cross"),
    script:
        "../scripts/run.py"


# What others say of the answers, where the study names a file of it: checked as a whole, in one job for all runs.
rule judgements:
    input:
        unpack(inputs_of("judgements")),
    output:
        directory(PATHS.judgements),
    log:
        PATHS.log("judgements"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("judgements"),
        runtime=minutes("judgements"),
    params:
        job=settings_of("judgements"),
    script:
        "../scripts/run.py"
