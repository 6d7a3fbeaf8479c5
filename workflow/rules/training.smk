# Training: the preliminary epoch that all arms share, and every arm.
from dataclasses import replace

from grads.selection.needs import needs_moments

WARM = warm_cell("{model}", "{domain}", "{seed}")
DURING = replace(WARM, arm="during")
TRAJECTORY = replace(WARM, arm="trajectory")
WARMUP = replace(WARM, arm="warmup")


rule train:
    input:
        unpack(inputs_of("train")),
    output:
        trained=directory(PATHS.run(CELL) / "adapter"),
        summary=PATHS.run(CELL) / "training.json",
    log:
        PATHS.log("train", CELL),
    benchmark:
        BENCHMARKS / "train" / f"{CELL}.tsv"
    conda:
        "../../envs/grads.yaml"
    # On a CPU, small models train fastest as several one-thread jobs side by side.
    threads: 1
    resources:
        # None where another run's adapter is scaled.
        gpu=needs_device("train"),
        mem_mb=memory("train"),
        runtime=minutes("train"),
        micro_batch=micro_batch,
    params:
        job=settings_of("train"),
    script:
        "../scripts/run.py"


rule train_warm:
    input:
        unpack(inputs_of("train_warm")),
    output:
        trained=directory(PATHS.run(WARM) / "adapter"),
        summary=PATHS.run(WARM) / "training.json",
        # What Adam remembers at the end, where an arm measures by it.
        moments=PATHS.run(WARM) / "moments.safetensors" if needs_moments(STUDY) else [],
    log:
        PATHS.log("train", WARM),
    benchmark:
        BENCHMARKS / "train" / f"{WARM}.tsv"
    # Everything that selects waits for it.
    priority: 20
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("train_warm"),
        runtime=minutes("train_warm"),
        micro_batch=micro_batch,
    params:
        job=settings_of("train_warm"),
    script:
        "../scripts/run.py"


# The preliminary epoch once more, with the gradients of each record taken before the step that it leads to.
rule train_during:
    input:
        unpack(inputs_of("train_during")),
    output:
        trained=directory(PATHS.run(DURING) / "adapter"),
        summary=PATHS.run(DURING) / "training.json",
        store=directory(PATHS.store("{model}", "{domain}", "during-{seed}")),
    log:
        PATHS.log("train", DURING),
    benchmark:
        BENCHMARKS / "train" / f"{DURING}.tsv"
    priority: 20
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("train_during"),
        runtime=minutes("train_during"),
        micro_batch=micro_batch,
        token_budget=token_budget,
    params:
        job=settings_of("train_during"),
    script:
        "../scripts/run.py"


# A run over all records, with the losses of all of them taken at its checkpoints.
rule train_trajectory:
    input:
        unpack(inputs_of("train_trajectory")),
    output:
        trained=directory(PATHS.run(TRAJECTORY) / "adapter"),
        summary=PATHS.run(TRAJECTORY) / "training.json",
        store=directory(PATHS.store("{model}", "{domain}", "trajectory-{seed}")),
    log:
        PATHS.log("train", TRAJECTORY),
    benchmark:
        BENCHMARKS / "train" / f"{TRAJECTORY}.tsv"
    priority: 20
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("train_trajectory"),
        runtime=minutes("train_trajectory"),
        micro_batch=micro_batch,
        token_budget=token_budget,
    params:
        job=settings_of("train_trajectory"),
    script:
        "../scripts/run.py"


# A run on a part of the records, with gradients of all of them, and of validation records, taken at its checkpoints.
rule train_warmup:
    input:
        unpack(inputs_of("train_warmup")),
    output:
        trained=directory(PATHS.run(WARMUP) / "adapter"),
        summary=PATHS.run(WARMUP) / "training.json",
        store=directory(PATHS.store("{model}", "{domain}", "warmup-{seed}")),
        targets=directory(PATHS.store("{model}", "{domain}", "warmup-{seed}-validation")),
    log:
        PATHS.log("train", WARMUP),
    benchmark:
        BENCHMARKS / "train" / f"{WARMUP}.tsv"
    priority: 20
    conda:
        "../../envs/grads.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=memory("train_warmup"),
        runtime=minutes("train_warmup"),
        micro_batch=micro_batch,
        token_budget=token_budget,
    params:
        job=settings_of("train_warmup"),
    script:
        "../scripts/run.py"
