from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.probe.store import read_store
    from grads.runtime.files import read_json
    from grads.study.config import Format, Probe, Training
    from grads.train.stage import TrainingCell, train_cells

    given, made, parameters = snakemake.input, snakemake.output, snakemake.params
    paths = {name: Path(given.get(name)) for name in ("start", "replay") if given.get(name)}
    kept, observer = given.get("selection") and Path(given.get("selection")), None
    if made.get("signals"):
        from grads.probe.during import During
        from grads.probe.trajectory import TrajectoryLosses

        probe, measures = Probe(**parameters.probe, token_budget=snakemake.resources.token_budget), parameters.measures
        watched = (Path(made.signals), probe)
        observer = During(*watched, measures) if measures else TrajectoryLosses(*watched)
    records = read_json(given.counts)["requested"] if parameters.equal_steps else None
    files = {"records": Path(given.records), "kept": kept, "trained": Path(made.trained), "summary": Path(made.summary)}
    files["moments"] = Path(made.moments) if made.get("moments") else None
    names = ("label", "epochs", "initialisation_seed", "order_seed", "strategy", "strategy_parameters", "match")
    asked = {name: parameters[name] for name in names}
    stores, scratch = {name: read_store(given[name]) for name in parameters.stores}, Path(parameters.scratch)
    more = {"scratch": scratch, "steps_of_records": records, "observer": observer, "stores": stores}
    cell = TrainingCell(**files, **asked, **paths, **more)
    form, training = Format(**parameters.format), Training(**parameters.training)
    if snakemake.rule == "train_warm":
        # What could not be measured afterwards is refused before. It shapes no weights, so it is no parameter.
        from grads import plan
        from grads.probe.stage import Task, check_probe
        from grads.study.load import parse_study

        study = parse_study(snakemake.config)
        if found := plan.measures(study, "warm", snakemake.wildcards.model):
            check_probe(Task(Path(given.model), cell.records, form, training, cell.trained, "warm", found, study.probe))
    train_cells([cell], Path(given.model), form, training, snakemake.resources.micro_batch)
