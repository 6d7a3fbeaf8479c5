# The entry of the workflow: what is included, and what is asked for.
#
#   snakemake                                       the demo (config/demo.yaml)
#   snakemake --configfile mine.yaml                a study of one's own
#   snakemake --configfile mine.yaml --report results/mine/report.html
from snakemake.utils import min_version

min_version("9.20")


# An unconditional `configfile:` would be merged into the user's own.
if not workflow.configfiles:

    configfile: "config/demo.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/signals.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.measurements.output,
        rules.tables.output,
        rules.curves.output,
        rules.selection_tables.output,
        rules.overlap.output,
        rules.pages.output,


onstart:
    start_run()


onsuccess:
    finish_run()
