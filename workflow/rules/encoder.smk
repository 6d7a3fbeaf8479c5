# Content embeddings of sentence encoders, which methods may compare records by.


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
        contents=lambda wildcards: contents_of(STUDY.encoders[wildcards.encoder].source),
        code=version_of("prepare_encoder", "grads.models.prepare_encoder"),
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
        PATHS.root / "logs" / "probe_encoder" / "{model}" / "{domain}" / "encoder-{encoder}.log",
    benchmark:
        PATHS.root / "benchmarks" / "probe_encoder" / "{model}" / "{domain}" / "encoder-{encoder}.tsv"
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
        token_budget=token_budget,
    params:
        point="encoder",
        label=lambda wildcards: f"probe {wildcards.encoder} {wildcards.model}/{wildcards.domain}",
        probe=settings(STUDY.probe, "precision"),
        code=version_of("probe", "grads.probing.encoder"),
