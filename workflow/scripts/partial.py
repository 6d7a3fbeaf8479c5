import time
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.runtime.manifest import write_manifests
    from grads.study.load import parse_study
    from grads.tables.files import cell_files
    from grads.tables.partial import make_partial

    started, parameters = time.time(), snakemake.params
    study = parse_study(parameters.study)
    made = make_partial(study, cell_files(study, parameters.stores), Path(parameters.folder))
    write_manifests(made, made[:1], {"rule": snakemake.rule, "study": parameters.study}, started)
