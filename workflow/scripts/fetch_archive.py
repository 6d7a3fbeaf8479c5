from pathlib import Path

from grads.data.archives import fetch
from grads.runtime.process import job
from grads.study.config import Archive

with job(snakemake):
    fetch(Archive(**snakemake.params.archive), Path(snakemake.output[0]).parent)
