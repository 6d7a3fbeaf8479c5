import json
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.report.files import selection_files
    from grads.report.selections import make_selection_tables
    from grads.study.load import parse_study

    study, made = parse_study(json.loads(snakemake.params.study)), snakemake.output
    folders = [Path(files[0]).parent for files in (made.tables, made.figures)]
    make_selection_tables(study, selection_files(study, snakemake.params.reads), *folders)
