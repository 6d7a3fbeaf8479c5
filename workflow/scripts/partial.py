import json
import time
from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.report.files import cell_files, selection_files
    from grads.report.partial import make_partial
    from grads.report.selections import make_partial_selections
    from grads.runtime.manifest import content_sha256, write_manifests
    from grads.study.load import parse_study

    started, parameters = time.time(), snakemake.params
    config = json.loads(parameters.study)
    study, folder = parse_study(config), Path(parameters.folder)
    made = make_partial(study, cell_files(study, parameters.stores), folder)
    made += make_partial_selections(study, selection_files(study, parameters.reads), folder)
    measured = {str(made[0]): content_sha256(made[0])}
    write_manifests(made, measured, {"rule": snakemake.rule, "study": config}, started)
