from pathlib import Path

from grads.runtime.process import job

with job(snakemake):
    from grads.config.general import Instructions
    from grads.data.instructions import prepare_instructions

    given, parameters = snakemake.input, snakemake.params
    prepare_instructions(
        Instructions(**parameters.instructions),
        parameters.seed,
        {name: Path(path) for name, path in parameters.archives.items()},
        [Path(path) for path in given.tests],
        [Path(path) for path in given.general],
        Path(snakemake.output.counts).parent,
    )
