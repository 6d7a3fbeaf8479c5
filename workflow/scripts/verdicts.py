from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.config.evaluation import Verdicts
    from grads.evaluation.judgements import write_verdicts

    parameters = snakemake.params
    predictions = dict(zip(parameters.cells, map(Path, snakemake.input.predictions), strict=True))
    write_verdicts(Verdicts(**parameters.verdicts), predictions, Path(snakemake.output[0]))
