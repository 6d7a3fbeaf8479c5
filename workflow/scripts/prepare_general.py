from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.data.prepare import prepare_general
    from grads.study.config import General

    archives = {name: Path(path) for name, path in snakemake.params.archives.items()}
    prepare_general(General(**snakemake.params.general), archives, Path(snakemake.output.text).parent)
