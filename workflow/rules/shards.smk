# Probes that several jobs share: their shards joined to one store. Read only where `probe.shards` is above 1.


rule probe_shards:
    input:
        expand(PATHS.shard("{{model}}", "{{domain}}", "{{store}}", "{shard}"), shard=range(SHARDS)),
    output:
        directory(PATHS.store("{model}", "{domain}", "{store}")),
    log:
        PATHS.root / "logs" / "probe_shards" / "{model}" / "{domain}" / "{store}.log",
    wildcard_constraints:
        store=rf"(base|warm-\d+)({'|'.join(OTHERS)})?",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=version_of("probe_shards", "grads.probing.shards"),
    script:
        "../scripts/probe_shards.py"
