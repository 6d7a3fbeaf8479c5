from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.probing.shards import join_shards

    join_shards([Path(folder) for folder in snakemake.input], Path(snakemake.output[0]))
