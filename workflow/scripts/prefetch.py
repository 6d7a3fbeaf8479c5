from grads.runtime.process import job

with job(snakemake, hub=True):
    from grads.data.hub import fetch_data, fetch_model
    from grads.study.config import HubDataSource, HubSource

    source = snakemake.params.source
    if "split" in source:
        fetch_data(HubDataSource(**source), snakemake.output.records)
    else:
        fetch_model(HubSource(**source), snakemake.output[0])
