# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
SELECTIONS = selection_files(STUDY, READS)


rule selection_tables:
    input:
        list(dict.fromkeys(path for files in SELECTIONS for path in files.paths)),
    output:
        tables=expand(PATHS.root / "tables" / "{name}{suffix}", name=SELECTION_TABLES, suffix=[".csv", ".md", ".tex"]),
        extremes=expand(PATHS.root / "tables" / "extremes{suffix}", suffix=[".csv", ".md"]),
        pages=[
            shown(f"tables/{name}.html", "Selection", f"{name.capitalize()} (table)")
            for name in [*SELECTION_TABLES, "extremes"]
        ],
        figures=[
            shown(f"figures/{name}.svg", "Selection", f"{name.capitalize()} (figure)")
            for name in selection_figures(SELECTIONS)
        ],
        prints=expand(PATHS.root / "figures" / "{name}.pdf", name=selection_figures(SELECTIONS)),
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
        code=version_of("selection_tables", "grads.report.selections"),
    script:
        "../scripts/selection_tables.py"
