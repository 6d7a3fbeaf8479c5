# The long table of measurements, and the tables and figures made from it.
from grads.signals.columns import columns
from grads.report.captions import in_report
from grads.report.files import cell_files, listed, selection_files
from grads.report.registry import measured_figures, measured_tables, modules_of
from grads.report.registry import selection_figures, selection_tables, training_figures

try:
    TABLES = measured_tables(STUDY)
    FIGURES = measured_figures(STUDY)
except GradsError as error:
    refuse(error)

CURVES = training_figures()
CAPTIONS = Path(".snakemake/captions").absolute()
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
        tables=[PATHS.root / f"tables/{one.name}{suffix}" for one in TABLES for suffix in one.suffixes],
        pages=[report(PATHS.root / f"tables/{one.name}.html", **in_report(one, CAPTIONS)) for one in TABLES],
        figures=[report(PATHS.root / f"figures/{one.name}.svg", **in_report(one, CAPTIONS)) for one in FIGURES],
        prints=[PATHS.root / f"figures/{one.name}.pdf" for one in FIGURES],
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
        code=version_of("tables", "grads.report.run", *modules_of([*TABLES, *FIGURES])),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        [PATHS.run(cell) / "training.json" for cell in CELLS if cell.trained],
    output:
        [report(PATHS.root / f"figures/{one.name}.svg", **in_report(one, CAPTIONS)) for one in CURVES],
        [PATHS.root / f"figures/{one.name}.pdf" for one in CURVES],
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
        code=version_of("curves", "grads.report.run", *modules_of(CURVES)),
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
