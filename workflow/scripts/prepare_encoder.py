from grads.runtime.process import job

with job(snakemake):
    from grads.models.prepare_encoder import prepare_encoder
    from grads.study.config import Encoder

    source = Encoder(title="", source=snakemake.params.source).source
    prepare_encoder(source, next(iter(snakemake.input.archives), None), snakemake.output[0])
