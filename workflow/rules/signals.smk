# Signals: what a forward or backward pass measures of each record. One pass serves all arms of the study.


rule probe_tokens:
    input:
        unpack(inputs_of("probe_tokens")),
    output:
        directory(PATHS.store("{model}", "{domain}", "tokens")),
    log:
        PATHS.log("probe_tokens", "{model}", "{domain}"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("probe_tokens"),
        runtime=minutes("probe_tokens"),
    params:
        job=settings_of("probe_tokens"),
    script:
        "../scripts/run.py"


rule probe_base:
    input:
        unpack(inputs_of("probe_base")),
    output:
        probed("base{other}"),
    log:
        PATHS.log("probe_base", "{model}", "{domain}", f"base{{other}}{SHARD}"),
    benchmark:
        BENCHMARKS / "probe_base" / "{model}" / "{domain}" / f"base{{other}}{SHARD}.tsv"
    conda:
        "../../envs/grads.yaml"
    resources:
        gpu=GPU,
        mem_mb=memory("probe_base"),
        runtime=minutes("probe_base"),
        token_budget=token_budget,
    params:
        job=settings_of("probe_base"),
    script:
        "../scripts/run.py"


rule probe_warm:
    input:
        unpack(inputs_of("probe_warm")),
    output:
        probed("warm-{seed}{other}"),
    log:
        PATHS.log("probe_warm", "{model}", "{domain}", f"warm-{{seed}}{{other}}{SHARD}"),
    benchmark:
        BENCHMARKS / "probe_warm" / "{model}" / "{domain}" / f"warm-{{seed}}{{other}}{SHARD}.tsv"
    priority: 10
    conda:
        "../../envs/grads.yaml"
    resources:
        gpu=GPU,
        mem_mb=memory("probe_warm"),
        runtime=minutes("probe_warm"),
        token_budget=token_budget,
    params:
        job=settings_of("probe_warm"),
    script:
        "../scripts/run.py"


rule probe_encoder:
    input:
        unpack(inputs_of("probe_encoder")),
    output:
        directory(PATHS.store("{model}", "{domain}", "encoder-{encoder}{other}")),
    log:
        PATHS.log("probe_encoder", "{model}", "{domain}", "encoder-{encoder}{other}"),
    benchmark:
        BENCHMARKS / "probe_encoder" / "{model}" / "{domain}" / "encoder-{encoder}{other}.tsv"
    conda:
        "../../envs/grads.yaml"
    resources:
        gpu=GPU,
        mem_mb=memory("probe_encoder"),
        runtime=minutes("probe_encoder"),
        token_budget=token_budget,
    params:
        job=settings_of("probe_encoder"),
    script:
        "../scripts/run.py"


# The untuned model's own answers to the training records, for strategies that train on them.
rule rewrite:
    input:
        unpack(inputs_of("rewrite")),
    output:
        directory(PATHS.store("{model}", "{domain}", "rewritten")),
    log:
        PATHS.log("rewrite", "{model}", "{domain}"),
    benchmark:
        BENCHMARKS / "rewrite" / "{model}" / "{domain}.tsv"
    conda:
        "../../envs/grads.yaml"
    resources:
        gpu=GPU,
        mem_mb=memory("rewrite"),
        runtime=minutes("rewrite"),
    params:
        job=settings_of("rewrite"),
    script:
        "../scripts/run.py"


if SHARDS > 1:

    include: "shards.smk"
