# How a run starts and ends.
import sys
from os.path import relpath

from grads.runtime.files import remove
from grads.runtime.group import asked_jobs, start_group
from grads.runtime.locks import lock_study
from grads.runtime.preload import start_server

# On a cluster's node, several jobs to run are a group that was submitted as one.
if workflow.remote_exec:
    start_group(asked_jobs(sys.argv))


def start_run():
    try:
        lock_study(PATHS.root)
    except GradsError as error:
        refuse(error)
    if workflow.local_exec:
        start_server(sum(1 for job in workflow.dag.needrun_jobs()))


def finish_run():
    """Remove what was kept in case that a job failed, and print the main table and where everything lies."""
    from grads.report.rendering.terminal import summary

    remove(PATHS.scratch("finished"))
    measurements = PATHS.root / "measurements.parquet"
    if measurements.is_file():
        shown = {"tables": PATHS.root / "tables", "figures": PATHS.root / "figures", "measurements": measurements}
        command = ["snakemake", "--cores 1", *(f"--configfile {relpath(file)}" for file in workflow.configfiles)]
        summary(STUDY, measurements, shown, " ".join([*command, f"--report {PATHS.root / 'report.html'}"]))
