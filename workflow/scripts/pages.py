import json
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.report.pages import make_pages
    from grads.study.load import parse_study

    make_pages(
        parse_study(json.loads(snakemake.params.study)), Path(snakemake.input[0]), Path(snakemake.output[0]).parent
    )
