from grads.runtime.process import job

with job(snakemake, hub=True):
    from grads.config.general import HarnessData
    from grads.config.sources import HubDataSource, HubSource
    from grads.data.sources.hub import fetch_data, fetch_model

    source = snakemake.params.source
    if source["kind"] == "harness":
        from grads.data.sources.named_tasks import fetch_task
        from grads.study.load import parse_study

        allow_code = parse_study(snakemake.config).general.allow_code
        fetch_task(HarnessData(**source), allow_code, snakemake.output[0])
    elif "split" in source:
        fetch_data(HubDataSource(**source), snakemake.output.records)
    else:
        fetch_model(HubSource(**source), snakemake.output[0])
