# Signals: what one pass measures of every training record, once for all methods that need it.
RECORD_LIMITS = settings(STUDY.training, "max_length", "over_length")
# The untrained adapter is measured only where an arm asks for its gradients.
OF_ADAPTER = FEATURES | {"adapter"}
BASE_LIMITS = RECORD_LIMITS | (settings(STUDY.training, "adapter") if OF_ADAPTER & set(measures(STUDY, "base")) else {})


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
        measures=measures(STUDY, "base"),
        # All seeds share this pass, so the adapter whose gradients it may take is that of the first.
        adapter_seed=lambda wildcards: derive_seed(STUDY.seeds[0], wildcards.model, wildcards.domain, "initialisation"),
        label=lambda wildcards: f"probe base {wildcards.model}/{wildcards.domain}",
        format=model_format,
        limits=BASE_LIMITS,
        probe=probe_settings("base"),
        code=code_version("grads.probe.stage"),


use rule probe_tokens as probe_warm with:
    input:
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
        trained=PATHS.run(warm_cell("{model}", "{domain}", "{seed}")) / "adapter",
        moments=moments(warm_cell("{model}", "{domain}", "{seed}")),
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
        measures=measures(STUDY, "warm"),
        label=lambda wildcards: f"probe warm {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        format=model_format,
        limits=RECORD_LIMITS,
        probe=probe_settings("warm"),
        code=code_version("grads.probe.stage"),


rule prepare_encoder:
    input:
        archives=lambda wildcards: archives_of(STUDY.encoders[wildcards.encoder].source),
        files=lambda wildcards: files_of(STUDY.encoders[wildcards.encoder].source),
    output:
        directory(PATHS.encoder("{encoder}")),
    log:
        PATHS.root / "logs" / "prepare_encoder" / "{encoder}.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        source=lambda wildcards: settings(STUDY.encoders[wildcards.encoder].source),
        code=code_version("grads.models.prepare_encoder"),
    script:
        "../scripts/prepare_encoder.py"


use rule probe_tokens as probe_encoder with:
    input:
        encoder=PATHS.encoder("{encoder}"),
        records=PATHS.records("{domain}", "train"),
        tokens=PATHS.store("{model}", "{domain}", "tokens"),
    output:
        directory(PATHS.store("{model}", "{domain}", "encoder-{encoder}")),
    log:
        PATHS.root / "logs" / "probe_encoder" / "{model}" / "{domain}" / "{encoder}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_encoder" / "{model}" / "{domain}" / "{encoder}.tsv"
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        point="encoder",
        label=lambda wildcards: f"probe {wildcards.encoder} {wildcards.model}/{wildcards.domain}",
        probe=settings(STUDY.probe, "token_budget", "precision"),
        code=code_version("grads.probe.encoder"),
