from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.config.domains import Domain, Splits
    from grads.data.prepare import prepare_domains

    prepare_domains(
        {name: Domain(**{"title": name} | domain) for name, domain in snakemake.params.domains.items()},
        Splits(**snakemake.params.splits),
        {name: Path(path) for name, path in snakemake.params.archives.items()},
        Path(snakemake.output.counts[0]).parent.parent,
        snakemake.params.overlap,
        [Path(path) for path in snakemake.input.general],
    )
