from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.data.overlap_report import report_overlap

    records: dict[str, dict[str, Path]] = {}
    for path in map(Path, snakemake.input.records):
        records.setdefault(path.parent.name, {})[path.stem] = path
    general = [Path(path) for path in snakemake.input.general]
    instructions = [Path(path) for path in snakemake.input.instructions]
    report_overlap(records, general, snakemake.params.overlap, snakemake.output[0], instructions)
