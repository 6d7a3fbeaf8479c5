import json
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.study.load import parse_study
    from grads.tables.files import cell_files
    from grads.tables.stage import make_measurements

    study = parse_study(json.loads(snakemake.params.study))
    make_measurements(study, cell_files(study, snakemake.params.stores), Path(snakemake.output[0]))
