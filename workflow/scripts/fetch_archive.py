from pathlib import Path

from grads.config.sources import Archive
from grads.data.sources.archives import fetch
from grads.runtime.process import job

with job(snakemake):
    fetch(Archive(**snakemake.params.archive), Path(snakemake.output[0]).parent)
