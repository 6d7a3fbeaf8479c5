from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.probe import stage
    from grads.study.config import Format, Probe, Training

    model, records = Path(snakemake.input.model), Path(snakemake.input.records)
    parameters, out = snakemake.params, Path(snakemake.output[0])
    form, limits = Format(**parameters.format), Training(**parameters.limits)
    if parameters.point == "tokens":
        stage.probe_tokens(model, records, form, limits, out)
    elif parameters.point == "base":
        stage.probe_base(model, records, form, limits, Probe(**parameters.probe), out, parameters.label)
    else:
        trained = Path(snakemake.input.trained)
        stage.probe_warm(model, trained, records, form, limits, Probe(**parameters.probe), out, parameters.label)
