from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.data.prepare import prepare_general
    from grads.study.load import parse_study

    archives = {name: Path(path) for name, path in snakemake.params.archives.items()}
    # The parameters have of it what shapes the items.
    prepare_general(parse_study(snakemake.config).general, archives, Path(snakemake.output.text).parent)
