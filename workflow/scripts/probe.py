from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    if snakemake.params.point != "tokens":
        take_device_slot()
    from grads.config.models import Format
    from grads.config.probe import Probe
    from grads.config.training import Training
    from grads.probing import encoder
    from grads.probing import run as stage
    from grads.study.load import parse_study

    given, parameters = snakemake.input, dict(snakemake.params.items())
    records, out, label = Path(given.records), Path(snakemake.output[0]), parameters.get("label", "")
    probe = Probe(**parameters.get("probe", {}), token_budget=snakemake.resources.get("token_budget", 1))
    if parameters["point"] == "encoder":
        encoder.probe_encoder(Path(given.encoder), records, Path(given.tokens), probe, out, label)
    else:
        names = ("point", "measures", "adapter_seed", "label")
        kept = {name: parameters[name] for name in names if parameters.get(name) is not None}
        files = {name: Path(given[name]) for name in ("trained", "moments") if given.get(name)}
        how = {"form": Format(**parameters["format"]), "training": Training(**parameters["limits"]), "probe": probe}
        shard = (int(snakemake.wildcards.get("shard", 0)), parameters.get("shards", 1))
        scratch = Path(parameters.get("scratch", ""))
        # The lengths of held-out records are looked at with the tokens; how long answers may be shapes no signals.
        files["held_out"] = {split: Path(given[split]) for split in ("validation", "test") if given.get(split)}
        if files["held_out"]:
            how["answer_tokens"] = parse_study(snakemake.config).generation.max_new_tokens
        task = stage.Task(Path(given.model), records, out=out, scratch=scratch, shard=shard, **how, **kept, **files)
        (stage.probe_tokens if task.point == "tokens" else stage.probe_model)(task)
