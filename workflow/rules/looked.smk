# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
SELECTIONS = selection_files(STUDY, READS)


def looked_at(folder, name, suffix):
    """Return a table or figure of selections as an item of the report."""
    return report(
        PATHS.root / folder / f"{name}{suffix}",
        caption=f"../report/{name}.rst",
        category="Selection",
        labels={"show": f"{name.capitalize()} ({folder.removesuffix('s')})"},
    )


rule selection_tables:
    input:
        list(dict.fromkeys(path for files in SELECTIONS for path in files.paths)),
    output:
        tables=expand(PATHS.root / "tables" / "{name}{suffix}", name=SELECTION_TABLES, suffix=[".csv", ".md", ".tex"]),
        extremes=expand(PATHS.root / "tables" / "extremes{suffix}", suffix=[".csv", ".md"]),
        pages=[looked_at("tables", name, ".html") for name in [*SELECTION_TABLES, "extremes"]],
        figures=[looked_at("figures", name, ".svg") for name in selection_figures(SELECTIONS)],
        prints=expand(PATHS.root / "figures" / "{name}.pdf", name=selection_figures(SELECTIONS)),
    log:
        PATHS.root / "logs" / "selection_tables.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=config,
        reads=READS,
        code=code_version("grads.tables.selections"),
    script:
        "../scripts/selection_tables.py"
