from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.methods.stage import select_records
    from grads.probe.store import read_store

    parameters, references = snakemake.params, snakemake.params.references
    inputs = dict(snakemake.input.items())
    select_records(
        parameters.method,
        parameters.parameters,
        parameters.ratio,
        parameters.seed,
        {name: read_store(path) for name, path in inputs.items() if name not in references},
        {references[name]: Path(path) for name, path in inputs.items() if name in references},
        Path(snakemake.output.selection),
    )
