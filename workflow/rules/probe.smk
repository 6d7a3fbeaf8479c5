# Signals: what one pass measures of every training record, once for all methods that need it.
RECORD_LIMITS = settings(STUDY.training, "max_length", "over_length")


rule probe_tokens:
    input:
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
    output:
        directory(PATHS.store("{model}", "{domain}", "tokens")),
    log:
        PATHS.root / "logs" / "probe_tokens" / "{model}" / "{domain}.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        point="tokens",
        format=model_format,
        limits=RECORD_LIMITS,
        code=code_version("grads.probe.stage"),
    script:
        "../scripts/probe.py"


use rule probe_tokens as probe_base with:
    output:
        directory(PATHS.store("{model}", "{domain}", "base")),
    log:
        PATHS.root / "logs" / "probe_base" / "{model}" / "{domain}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_base" / "{model}" / "{domain}.tsv"
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        point="base",
        label=lambda wildcards: f"probe base {wildcards.model}/{wildcards.domain}",
        format=model_format,
        limits=RECORD_LIMITS,
        probe=settings(STUDY.probe),
        code=code_version("grads.probe.stage"),


use rule probe_tokens as probe_warm with:
    input:
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
        trained=PATHS.run(warm_cell("{model}", "{domain}", "{seed}")) / "adapter",
    output:
        directory(PATHS.store("{model}", "{domain}", "warm-{seed}")),
    log:
        PATHS.root / "logs" / "probe_warm" / "{model}" / "{domain}" / "{seed}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_warm" / "{model}" / "{domain}" / "{seed}.tsv"
    priority: 10
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        point="warm",
        label=lambda wildcards: f"probe warm {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        format=model_format,
        limits=RECORD_LIMITS,
        probe=settings(STUDY.probe),
        code=code_version("grads.probe.stage"),
