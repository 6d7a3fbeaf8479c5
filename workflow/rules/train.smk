# Training: the preliminary epoch that all arms share, and every arm.
from grads.training.strategies.registry import module_of as strategy_module

WARM = warm_cell("{model}", "{domain}", "{seed}")
DURING = replace(WARM, arm="during")
TRAJECTORY = replace(WARM, arm="trajectory")
# Plain training, which arms may depart from, and what is no arm's run does not.
PLAIN = {"strategy": "sft", "strategy_parameters": {}, "match": "epochs"}
# Its runs have as many epochs as their rules say, whatever the arms have.
EPOCH = STUDY.training.model_dump(exclude={"epochs"})


rule train:
    input:
        unpack(training_input),
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
        selection=PATHS.selection(CELL),
        counts=PATHS.selection(CELL).with_suffix(".json"),
    output:
        trained=directory(PATHS.run(CELL) / "adapter"),
        summary=PATHS.run(CELL) / "training.json",
    log:
        PATHS.root / "logs" / "train" / f"{CELL}.log",
    benchmark:
        PATHS.root / "benchmarks" / "train" / f"{CELL}.tsv"
    conda:
        "../../envs/grads.yaml"
    # On a CPU, small models train fastest as several one-thread jobs side by side.
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=720,
        micro_batch=micro_batch,
    params:
        **{key: arm_key(key) for key in PLAIN},
        label=lambda wildcards: f"train {cell_of(wildcards)}",
        scratch=str(PATHS.scratch("train") / str(CELL)),
        format=model_format,
        base=base_of,
        training=settings(STUDY.training),
        epochs=None,
        equal_steps=lambda wildcards: arm_method(STUDY, wildcards.arm).equal_steps,
        stores=lambda wildcards: sorted(strategy_needs(STUDY, wildcards.arm).stores),
        initialisation_seed=seed_for("initialisation"),
        order_seed=seed_for("order"),
        code=lambda wildcards: version_of(
            "train", "grads.training.run", strategy_module(STUDY.arms[wildcards.arm].strategy)
        ),
    script:
        "../scripts/train.py"


use rule train as train_warm with:
    input:
        model=PATHS.model("{model}"),
        records=PATHS.records("{domain}", "train"),
    output:
        trained=directory(PATHS.run(WARM) / "adapter"),
        summary=PATHS.run(WARM) / "training.json",
        moments=moments(WARM),
    log:
        PATHS.root / "logs" / "train" / f"{WARM}.log",
    benchmark:
        PATHS.root / "benchmarks" / "train" / f"{WARM}.tsv"
    # Everything that selects waits for it.
    priority: 20
    params:
        **PLAIN,
        stores=[],
        label=lambda wildcards: f"preliminary epoch {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        scratch=str(PATHS.scratch("train") / str(WARM)),
        format=model_format,
        base=base_of,
        training=EPOCH,
        epochs=1,
        equal_steps=False,
        initialisation_seed=seed_for("initialisation"),
        order_seed=seed_for("order"),
        code=version_of("train", "grads.training.run"),


# The preliminary epoch once more, with the gradients of each record taken before the step that it leads to.
use rule train_warm as train_during with:
    output:
        trained=directory(PATHS.run(DURING) / "adapter"),
        summary=PATHS.run(DURING) / "training.json",
        signals=directory(PATHS.store("{model}", "{domain}", "during-{seed}")),
    log:
        PATHS.root / "logs" / "train" / f"{DURING}.log",
    benchmark:
        PATHS.root / "benchmarks" / "train" / f"{DURING}.tsv"
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=720,
        micro_batch=micro_batch,
        token_budget=token_budget,
    params:
        label=lambda wildcards: f"gradients during {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        scratch=str(PATHS.scratch("train") / str(DURING)),
        format=model_format,
        base=base_of,
        training=EPOCH,
        epochs=1,
        equal_steps=False,
        initialisation_seed=seed_for("initialisation"),
        order_seed=seed_for("order"),
        probe=lambda wildcards: probe_settings("during", wildcards.model),
        measures=lambda wildcards: measures(STUDY, "during", wildcards.model),
        code=version_of("train", "grads.training.run", "grads.probing.during"),


# A run over all records, with the losses of all of them taken at its checkpoints.
use rule train_during as train_trajectory with:
    output:
        trained=directory(PATHS.run(TRAJECTORY) / "adapter"),
        summary=PATHS.run(TRAJECTORY) / "training.json",
        signals=directory(PATHS.store("{model}", "{domain}", "trajectory-{seed}")),
    log:
        PATHS.root / "logs" / "train" / f"{TRAJECTORY}.log",
    benchmark:
        PATHS.root / "benchmarks" / "train" / f"{TRAJECTORY}.tsv"
    params:
        label=lambda wildcards: f"trajectory {wildcards.model}/{wildcards.domain}/{wildcards.seed}",
        scratch=str(PATHS.scratch("train") / str(TRAJECTORY)),
        format=model_format,
        base=base_of,
        training=EPOCH,
        epochs=STUDY.probe.trajectory.epochs,
        equal_steps=False,
        initialisation_seed=seed_for("initialisation"),
        order_seed=seed_for("order"),
        probe=settings(STUDY.probe, "trajectory", "nonfinite"),
        measures=[],
        code=version_of("train", "grads.training.run", "grads.probing.trajectory"),
