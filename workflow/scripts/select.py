from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.selection.run import select_records
    from grads.signals.store import read_store

    parameters, given = snakemake.params, dict(snakemake.input.items())
    given.pop("files")  # The method reads them by name.
    references = {arm: Path(given.pop(name)) for name, arm in parameters.references.items()}
    texts = {split: Path(given.pop(name)) for name, split in parameters.texts.items()}
    scorer, records = given.pop("scorer", None), Path(given.pop("records"))
    select_records(
        parameters.method,
        parameters.parameters,
        parameters.ratio,
        parameters.seed,
        {name: read_store(path) for name, path in given.items()},
        references,
        Path(snakemake.output.selection),
        texts,
        scorer and read_store(scorer),
        records,
    )
