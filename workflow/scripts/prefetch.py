from grads.runtime.process import job

with job(snakemake, hub=True):
    from grads.data.hub import fetch_data, fetch_model
    from grads.study.config import HubDataSource, HubSource
    from grads.study.general import HarnessData

    source = snakemake.params.source
    if source["kind"] == "harness":
        from grads.data.harness import fetch_task
        from grads.study.load import parse_study

        allow_code = parse_study(snakemake.config).general.allow_code
        fetch_task(HarnessData(**source), allow_code, snakemake.output[0])
    elif "split" in source:
        fetch_data(HubDataSource(**source), snakemake.output.records)
    else:
        fetch_model(HubSource(**source), snakemake.output[0])
