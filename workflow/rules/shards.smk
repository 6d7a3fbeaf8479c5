# Probes that several jobs share: their shards joined to one store. Read only where `probe.shards` is above 1.


rule probe_shards:
    input:
        unpack(inputs_of("probe_shards")),
    output:
        directory(PATHS.store("{model}", "{domain}", "{store}")),
    log:
        PATHS.log("probe_shards", "{model}", "{domain}", "{store}"),
    wildcard_constraints:
        store=rf"(base|warm-\d+)({'|'.join(OTHERS)})?",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("probe_shards"),
        runtime=minutes("probe_shards"),
    params:
        job=settings_of("probe_shards"),
    script:
        "../scripts/run.py"
