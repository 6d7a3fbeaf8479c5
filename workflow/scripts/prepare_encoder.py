from grads.runtime.process import job

with job(snakemake):
    from grads.config.models import Encoder
    from grads.models.prepare_encoder import prepare_encoder

    source = Encoder(title="", source=snakemake.params.source).source
    prepare_encoder(source, next(iter(snakemake.input.archives), None), snakemake.output[0])
