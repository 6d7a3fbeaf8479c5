from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.probe import encoder, stage
    from grads.study.config import Format, Probe, Training

    given, parameters = snakemake.input, snakemake.params
    start, out, label = [Path(given[0]), Path(given.records)], Path(snakemake.output[0]), parameters.get("label")
    if parameters.point != "encoder":
        start += [Format(**parameters.format), Training(**parameters.limits)]
    if parameters.point == "tokens":
        stage.probe_tokens(*start, out)
    elif parameters.point == "base":
        probe, more = Probe(**parameters.probe), (parameters.measures, parameters.adapter_seed)
        stage.probe_base(*start, probe, out, label, *more)
    elif parameters.point == "warm":
        start.insert(1, Path(given.trained))
        more = {"moments": Path(given.moments)} if given.get("moments") else {}
        stage.probe_warm(*start, Probe(**parameters.probe), out, label, parameters.measures, **more)
    else:
        encoder.probe_encoder(*start, Path(given.tokens), Probe(**parameters.probe), out, label)
