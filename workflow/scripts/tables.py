import json
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.report.run import make_tables
    from grads.study.load import parse_study

    tables, figures = (Path(files[0]).parent for files in (snakemake.output.tables, snakemake.output.figures))
    make_tables(parse_study(json.loads(snakemake.params.study)), Path(snakemake.input[0]), tables, figures)
