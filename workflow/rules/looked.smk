# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
SELECTIONS = selection_files(STUDY, READS)
LOOKED = selection_figures(SELECTIONS)


rule selection_tables:
    input:
        list(dict.fromkeys(path for files in SELECTIONS for path in files.paths)),
    output:
        tables=tables_of(selection_tables()),
        pages=[declared(table, f"tables/{table.name}.html") for table in selection_tables()],
        figures=[declared(figure, f"figures/{figure.name}.svg") for figure in LOOKED],
        prints=[PATHS.root / "figures" / f"{figure.name}.pdf" for figure in LOOKED],
    log:
        PATHS.root / "logs" / "selection_tables.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=serialised(config),
        reads=READS,
        code=version_of("selection_tables", "grads.report.selections", *modules_of([*selection_tables(), *LOOKED])),
    script:
        "../scripts/selection_tables.py"
