from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.evaluate.metrics import compute_metrics

    wordnet = snakemake.input.get("wordnet")
    metrics, folder = snakemake.params.metrics, Path(wordnet) if wordnet else None
    compute_metrics(Path(snakemake.input.predictions), metrics, folder, Path(snakemake.output[0]))
