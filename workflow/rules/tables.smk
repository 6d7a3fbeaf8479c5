# The long table of measurements, and the tables and figures made from it.
from grads.signals.columns import columns
from grads.report.captions import caption_file
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


def declared(item, path):
    """Return a file of a table or figure as an item of the report, with what it declares for that."""
    path = PATHS.root / path
    caption = str(caption_file(item, CAPTIONS / path.parent.name))
    return report(path, caption=caption, category=item.category, labels={"show": item.title})


def tables_of(tables):
    """Return the files of tables that the report does not show."""
    suffixes = {table.name: [".csv", ".md", *([".tex"] if table.latex else [])] for table in tables}
    return [PATHS.root / "tables" / f"{name}{suffix}" for name, written in suffixes.items() for suffix in written]


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
        tables=tables_of(TABLES),
        pages=[declared(table, f"tables/{table.name}.html") for table in TABLES],
        figures=[declared(figure, f"figures/{figure.name}.svg") for figure in FIGURES],
        prints=[PATHS.root / "figures" / f"{figure.name}.pdf" for figure in FIGURES],
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
        [declared(figure, f"figures/{figure.name}.svg") for figure in CURVES],
        [PATHS.root / "figures" / f"{figure.name}.pdf" for figure in CURVES],
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
