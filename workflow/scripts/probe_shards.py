from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.probe.shards import join_shards

    join_shards([Path(folder) for folder in snakemake.input], Path(snakemake.output[0]))
