from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.evaluation.metrics.compute import compute_metrics
    from grads.evaluation.metrics.contract import Setting

    wordnet, parameters = snakemake.input.get("wordnet"), snakemake.params
    setting = Setting(parameters.language, Path(wordnet) if wordnet else None)
    predictions = Path(snakemake.input.predictions)
    if "target" in snakemake.wildcards.keys():  # noqa: SIM118 not a mapping
        predictions = predictions / f"{snakemake.wildcards.target}.jsonl"
    compute_metrics(predictions, parameters.metrics, Path(snakemake.output[0]), setting)
