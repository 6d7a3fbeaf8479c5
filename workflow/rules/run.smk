# How a run starts and ends.
import sys
from os.path import relpath

from grads.runtime.files import remove
from grads.runtime.group import asked_jobs, start_group
from grads.runtime.locks import lock_study
from grads.runtime.preload import start_server
from grads.runtime.shipped import snakemake_options

# On a cluster's node, several jobs to run are a group that was submitted as one.
if workflow.remote_exec:
    start_group(asked_jobs(sys.argv))


# Rules of the jobs that a run began with.
BEGUN = set()


def start_run():
    try:
        lock_study(PATHS.root)
    except GradsError as error:
        refuse(error)
    BEGUN.update(job.rule.name for job in workflow.dag.needrun_jobs())
    if workflow.local_exec:
        start_server(sum(1 for job in workflow.dag.needrun_jobs()))


def finish_run():
    """Remove what was kept in case that a job failed, and print the main table and where everything lies."""
    from grads.report.rendering.terminal import summary

    remove(PATHS.scratch("finished"))
    measurements = PATHS.root / "measurements.parquet"
    # Where an archive is fetched again, Snakemake (9.27) overlooks what waits for it and is not there yet.
    if BEGUN and BEGUN <= {"fetch_archive"} and not workflow.dag_settings.targets:
        say("archives were fetched again: start the same command once more for the rest")
    elif measurements.is_file():
        shown = {name: PATHS.root / name for name in ("tables", "figures")}
        shown |= {"measurements": measurements, "report": PATHS.root / "pages/index.html"}
        files = [relpath(file) for file in workflow.configfiles]
        # What is started in the folder of the workflow needs not say where that is.
        options = snakemake_options()
        command = ["grads run", *files] if options else ["snakemake", *(f"--configfile {file}" for file in files)]
        summary(STUDY, measurements, shown, " ".join([*command, f"--cores 1 --report {PATHS.root / 'report.html'}"]))
