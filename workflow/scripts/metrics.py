from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.evaluate.metrics.compute import compute_metrics
    from grads.evaluate.metrics.contract import Setting

    wordnet, parameters = snakemake.input.get("wordnet"), snakemake.params
    setting = Setting(parameters.language, Path(wordnet) if wordnet else None)
    compute_metrics(Path(snakemake.input.predictions), parameters.metrics, Path(snakemake.output[0]), setting)
