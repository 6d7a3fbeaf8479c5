from grads.runtime.process import job

with job(snakemake, hub=True):
    from grads.data.hub import fetch_data, fetch_model
    from grads.study.config import HubDataSource, HubSource
    from grads.study.general import HarnessData

    source = snakemake.params.source
    if source["kind"] == "harness":
        from grads.data.harness import fetch_task

        fetch_task(HarnessData(**source), snakemake.params.allow_code, snakemake.output[0])
    elif "split" in source:
        fetch_data(HubDataSource(**source), snakemake.output.records)
    else:
        fetch_model(HubSource(**source), snakemake.output[0])
