import json
import time
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.runtime.manifest import write_manifests
    from grads.study.load import parse_study
    from grads.tables.files import cell_files, selection_files
    from grads.tables.partial import make_partial
    from grads.tables.selections import make_partial_selections

    started, parameters = time.time(), snakemake.params
    config = json.loads(parameters.study)
    study, folder = parse_study(config), Path(parameters.folder)
    made = make_partial(study, cell_files(study, parameters.stores), folder)
    made += make_partial_selections(study, selection_files(study, parameters.reads), folder)
    write_manifests(made, made[:1], {"rule": snakemake.rule, "study": config}, started)
