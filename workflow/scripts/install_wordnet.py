from grads.data.sources.wordnet import install_wordnet
from grads.runtime.process import job

with job(snakemake):
    install_wordnet(snakemake.input[0], snakemake.params.member, snakemake.output[0])
