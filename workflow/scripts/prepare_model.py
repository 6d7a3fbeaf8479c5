from grads.runtime.process import job

with job(snakemake):
    from grads.models.prepare import prepare_model
    from grads.study.config import Model

    source = Model(title="", source=snakemake.params.source).source
    prepare_model(source, next(iter(snakemake.input.archives), None), snakemake.output[0])
