from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.study.config import Format, Training
    from grads.train.stage import TrainingCell, train_cells

    kept = snakemake.input.get("selection")
    cell = TrainingCell(
        label=snakemake.params.label,
        records=Path(snakemake.input.records),
        kept=Path(kept) if kept else None,
        trained=Path(snakemake.output.trained),
        summary=Path(snakemake.output.summary),
        scratch=Path(snakemake.params.scratch),
        initialisation_seed=snakemake.params.initialisation_seed,
        order_seed=snakemake.params.order_seed,
        steps_of_ratio=snakemake.params.steps_of_ratio,
        epochs=snakemake.params.epochs,
    )
    form, training = Format(**snakemake.params.format), Training(**snakemake.params.training)
    train_cells([cell], Path(snakemake.input.model), form, training, snakemake.resources.micro_batch)
