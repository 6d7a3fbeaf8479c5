# The long table of measurements, and the tables and figures made from it.
from grads.signals.columns import columns
from grads.report.files import SELECTION_TABLES, cell_files, figure_names, listed
from grads.report.files import selection_figures, selection_files, table_names

TABLES, FIGURES = table_names(STUDY), figure_names(STUDY)
STORES = {arm: arm_stores(STUDY, arm) for arm in STUDY.arms}
# The signal stores that each arm's method itself reads, and which columns of them.
READS = {
    arm: {store: list(columns(held)) for store, held in sorted(arm_needs(STUDY, arm).stores.items())}
    for arm in STUDY.arms
}


rule measurements:
    input:
        [path for files in cell_files(STUDY, STORES) for path in listed(files)],
    output:
        PATHS.root / "measurements.parquet",
    log:
        PATHS.root / "logs" / "measurements.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=serialised(config),
        stores=STORES,
        code=version_of("measurements", "grads.report.run"),
    script:
        "../scripts/measurements.py"


rule tables:
    input:
        PATHS.root / "measurements.parquet",
        claims=outside(claim_paths()),
    output:
        tables=expand(PATHS.root / "tables" / "{name}{suffix}", name=TABLES, suffix=[".csv", ".md", ".tex"]),
        pages=[shown(f"tables/{name}.html", "Tables", name.capitalize()) for name in TABLES],
        figures=[shown(f"figures/{name}.svg", "Figures", name.capitalize()) for name in FIGURES],
        prints=expand(PATHS.root / "figures" / "{name}.pdf", name=FIGURES),
    log:
        PATHS.root / "logs" / "tables.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=serialised(config),
        contents=contents_of(files=claim_paths()),
        code=version_of("tables", "grads.report.run"),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        [PATHS.run(cell) / "training.json" for cell in CELLS if cell.trained],
    output:
        shown("figures/curves.svg", "Figures", "Curves"),
        PATHS.root / "figures" / "curves.pdf",
    log:
        PATHS.root / "logs" / "curves.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=serialised(config),
        stores=STORES,
        code=version_of("curves", "grads.report.figures.curves"),
    script:
        "../scripts/curves.py"


# Tables and figures over what is there, asked for by name (`snakemake partial`): no inputs, so that nothing is made for them, and
# no declared outputs, so that they are made anew each time.
rule partial:
    log:
        PATHS.root / "logs" / "partial.log",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        study=serialised(config),
        stores=STORES,
        reads=READS,
        folder=str(PATHS.root / "partial"),
    script:
        "../scripts/partial.py"
