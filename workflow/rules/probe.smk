# Signals: what one pass measures of every training record, once for all methods that need it; and, where a method asks
# for them, of validation records and of general instructions.
RECORD_LIMITS = settings(STUDY.training, "max_length", "over_length")
ADAPTER = settings(STUDY.training, "weights", "adapter")
# What a shard's files have after their name.
SHARD = "" if SHARDS == 1 else ".{shard}"


rule probe_tokens:
    input:
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
        validation=PATHS.records("{domain}", "validation"),
        test=PATHS.records("{domain}", "test"),
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
        label=lambda wildcards: f"{wildcards.model}/{wildcards.domain}",
        format=model_format,
        limits=RECORD_LIMITS,
        code=version_of("probe", "grads.probing.run"),
    script:
        "../scripts/probe.py"


use rule probe_tokens as probe_base with:
    input:
        model=PATHS.model("{model}"),
        records=records_of,
    output:
        probed("base{other}"),
    log:
        PATHS.root / "logs" / "probe_base" / "{model}" / "{domain}" / f"base{{other}}{SHARD}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_base" / "{model}" / "{domain}" / f"base{{other}}{SHARD}.tsv"
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
        token_budget=token_budget,
    params:
        point="base",
        measures=lambda wildcards: measures(STUDY, f"base{wildcards.other}", wildcards.model),
        # All seeds share this pass, so the adapter whose gradients it may take is that of the first.
        adapter_seed=lambda wildcards: (
            derive_seed(STUDY.seeds[0], wildcards.model, wildcards.domain, "initialisation")
            if of_adapter(wildcards)
            else None
        ),
        label=lambda wildcards: f"probe base{wildcards.other} {wildcards.model}/{wildcards.domain}",
        format=model_format,
        limits=lambda wildcards: RECORD_LIMITS | (ADAPTER if of_adapter(wildcards) else {}),
        probe=lambda wildcards: probe_settings(f"base{wildcards.other}", wildcards.model),
        shards=SHARDS,
        scratch=str(PATHS.scratch("probe") / "{model}" / "{domain}" / f"base{{other}}{SHARD}"),
        code=version_of("probe", "grads.probing.run"),


use rule probe_base as probe_warm with:
    input:
        model=PATHS.model("{model}"),
        records=records_of,
        trained=PATHS.run(warm_cell("{model}", "{domain}", "{seed}")) / "adapter",
        moments=moments(warm_cell("{model}", "{domain}", "{seed}")),
    output:
        probed("warm-{seed}{other}"),
    log:
        PATHS.root / "logs" / "probe_warm" / "{model}" / "{domain}" / f"warm-{{seed}}{{other}}{SHARD}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_warm" / "{model}" / "{domain}" / f"warm-{{seed}}{{other}}{SHARD}.tsv"
    priority: 10
    params:
        point="warm",
        measures=lambda wildcards: measures(STUDY, f"warm{wildcards.other}", wildcards.model),
        # Its adapter is the trained one.
        adapter_seed=None,
        label=lambda wildcards: f"probe warm{wildcards.other} {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        format=model_format,
        limits=RECORD_LIMITS,
        probe=lambda wildcards: probe_settings(f"warm{wildcards.other}", wildcards.model),
        shards=SHARDS,
        scratch=str(PATHS.scratch("probe") / "{model}" / "{domain}" / f"warm-{{seed}}{{other}}{SHARD}"),
        code=version_of("probe", "grads.probing.run"),


if SHARDS > 1:

    include: "shards.smk"
