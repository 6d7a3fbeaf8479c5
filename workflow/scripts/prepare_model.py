from grads.runtime.process import job

with job(snakemake):
    from grads.config.models import Model
    from grads.models.prepare import prepare_model

    source = Model(title="", source=snakemake.params.source).source
    fetched = snakemake.input.files if source.kind == "hub" else snakemake.input.archives
    prepare_model(source, next(iter(fetched), None), snakemake.output[0])
