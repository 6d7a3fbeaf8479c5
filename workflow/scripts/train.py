from dataclasses import fields
from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.config.models import Format
    from grads.config.probe import Probe
    from grads.config.training import Training
    from grads.data.selections import read_counts
    from grads.signals.store import read_store
    from grads.training.cell import Base, TrainingCell
    from grads.training.run import train_cells

    given, made, parameters = snakemake.input, snakemake.output, snakemake.params
    read = {name: Path(given[name]) for name in ("records", "start", "replay") if given.get(name)}
    written = {name: Path(made[name]) for name in ("trained", "summary", "moments") if made.get(name)}
    kept, observer = given.get("selection") and Path(given.selection), None
    if made.get("signals"):
        from grads.probing.during import During
        from grads.probing.trajectory import TrajectoryLosses

        watched = (Path(made.signals), Probe(**parameters.probe, token_budget=snakemake.resources.token_budget))
        observer = During(*watched, parameters.measures) if parameters.measures else TrajectoryLosses(*watched)
    records = read_counts(given.counts)["requested"] if parameters.equal_steps else None
    asked = {one.name: parameters[one.name] for one in fields(TrainingCell) if one.name in parameters.keys()}  # noqa: SIM118
    more = {"kept": kept, "steps_of_records": records, "observer": observer, "scratch": Path(parameters.scratch)}
    more["base"] = Base(**parameters.base)
    more["stores"] = {name: read_store(given[name]) for name in parameters.stores}
    cell = TrainingCell(**read, **written, **asked | more)
    form, training = Format(**parameters.format), Training(**parameters.training)
    if snakemake.rule == "train_warm":  # What could not be measured afterwards is refused now; it shapes no weights.
        from grads.graph import needs as plan
        from grads.probing.run import Task, check_probe
        from grads.study.load import parse_study

        study = parse_study(snakemake.config)
        if found := plan.measures(study, "warm", snakemake.wildcards.model):
            check_probe(Task(Path(given.model), cell.records, form, training, cell.trained, "warm", found, study.probe))
    train_cells([cell], Path(given.model), form, training, snakemake.resources.micro_batch)
