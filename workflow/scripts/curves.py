import json
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.report.files import cell_files
    from grads.report.run import make_curves
    from grads.study.load import parse_study

    study = parse_study(json.loads(snakemake.params.study))
    make_curves(study, cell_files(study, snakemake.params.stores), Path(snakemake.output[0]).parent)
