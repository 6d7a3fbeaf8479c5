# Evaluation: one job per trained model for domain answers, general tasks and drift; metrics from stored answers.
from grads.evaluation.metrics.registry import computed
from grads.evaluation.metrics.registry import module_of as metric_module
from grads.study.paths import documents_path

EVALUATION = {
    "generation": settings(STUDY.generation),
    "evaluation": settings(STUDY.evaluation, "precision", "token_budget", "task_batch"),
    "tasks": {name: task_settings(task) for name, task in STUDY.general.tasks.items()},
    "text_tokens": STUDY.general.text.max_tokens,
    "max_length": STUDY.training.max_length,
    "code": version_of("evaluate", "grads.evaluation.run"),
}
GENERAL_FILES = {
    "samples": [PATHS.general(f"{task}.jsonl") for task in STUDY.general.tasks],
    "tasks": [
        PATHS.general(f"{name}.yaml") if task.yaml else hub_path(task.data)
        for name, task in STUDY.general.tasks.items()
    ],
    "text": PATHS.general("text.jsonl"),
}


rule evaluate:
    input:
        **GENERAL_FILES,
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "test"),
        trained=PATHS.run(CELL) / "adapter",
    output:
        predictions=PATHS.run(CELL) / "predictions.jsonl",
        general=PATHS.run(CELL) / "general.json",
        documents=documents_path(PATHS.run(CELL) / "general.json"),
    log:
        PATHS.root / "logs" / "evaluate" / f"{CELL}.log",
    benchmark:
        PATHS.root / "benchmarks" / "evaluate" / f"{CELL}.tsv"
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=480,
    params:
        **EVALUATION,
        label=lambda wildcards: f"evaluate {cell_of(wildcards)}",
        finished=str(PATHS.scratch("evaluate") / f"{CELL}"),
        format=model_format,
    script:
        "../scripts/evaluate.py"


# What the model answers to the tests of other domains, where the study asks for that.
use rule evaluate as evaluate_cross with:
    input:
        model=PATHS.model("{model}"),
        records=lambda wildcards: [PATHS.records(other, "test") for other in cross_domains(STUDY, wildcards.domain)],
        trained=PATHS.run(CELL) / "adapter",
    output:
        cross=directory(PATHS.cross_predictions(CELL)),
    log:
        PATHS.root / "logs" / "evaluate_cross" / f"{CELL}.log",
    benchmark:
        PATHS.root / "benchmarks" / "evaluate_cross" / f"{CELL}.tsv"
    params:
        **{**EVALUATION, "tasks": {}},
        label=lambda wildcards: f"evaluate {cell_of(wildcards)} on other domains",
        finished=str(PATHS.scratch("evaluate") / f"{CELL}"),
        format=model_format,


UNTUNED_RUNS = [PATHS.run(Cell("{model}", domain, "untuned", "0", 0)) for domain in STUDY.domains]


# The untuned model answers all domains in one job, and its general part is measured once.
use rule evaluate as evaluate_untuned with:
    input:
        **GENERAL_FILES,
        model=PATHS.model("{model}"),
        records=[PATHS.records(domain, "test") for domain in STUDY.domains],
    output:
        predictions=[run / "predictions.jsonl" for run in UNTUNED_RUNS],
        general=PATHS.untuned_general("{model}"),
        documents=documents_path(PATHS.untuned_general("{model}")),
    log:
        PATHS.root / "logs" / "evaluate" / "{model}-untuned.log",
    benchmark:
        PATHS.root / "benchmarks" / "evaluate" / "{model}-untuned.tsv"
    params:
        **EVALUATION,
        label=lambda wildcards: f"evaluate {wildcards.model}/untuned",
        finished=str(PATHS.scratch("evaluate") / "{model}-untuned"),
        format=model_format,


ruleorder: evaluate_untuned > evaluate


COMPUTED = computed(STUDY.evaluation.metrics)
METRICS_CODE = version_of("metrics", "grads.evaluation.metrics.compute", *map(metric_module, COMPUTED))


rule metrics:
    input:
        predictions=PATHS.run(CELL) / "predictions.jsonl",
        wordnet=lambda wildcards: metrics_wordnet(wildcards.domain),
    output:
        PATHS.run(CELL) / "metrics.json",
    log:
        PATHS.root / "logs" / "metrics" / f"{CELL}.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        metrics=COMPUTED,
        language=lambda wildcards: STUDY.domains[wildcards.domain].language,
        code=METRICS_CODE,
    script:
        "../scripts/metrics.py"


use rule metrics as metrics_cross with:
    input:
        predictions=PATHS.cross_predictions(CELL),
        wordnet=lambda wildcards: metrics_wordnet(wildcards.target),
    output:
        PATHS.cross(CELL, "{target}"),
    log:
        PATHS.root / "logs" / "metrics_cross" / f"{CELL}-{{target}}.log",
    wildcard_constraints:
        target="|".join(STUDY.domains),
    params:
        metrics=COMPUTED,
        language=lambda wildcards: STUDY.domains[wildcards.target].language,
        code=METRICS_CODE,


# What others say of the answers, where the study names a file of it: checked as a whole, in one job for all runs.
rule verdicts:
    input:
        predictions=[PATHS.run(cell) / "predictions.jsonl" for cell in CELLS],
        verdicts=outside(verdict_paths()),
    output:
        directory(PATHS.verdicts),
    log:
        PATHS.root / "logs" / "verdicts.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        cells=[str(cell) for cell in CELLS],
        verdicts=settings(STUDY.evaluation.judged) if STUDY.evaluation.judged else {},
        contents=contents_of(files=verdict_paths()),
        code=version_of("verdicts", "grads.evaluation.judgements"),
    script:
        "../scripts/verdicts.py"
