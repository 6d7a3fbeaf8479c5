# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
SELECTIONS = selection_files(STUDY, READS)
LOOKED = selection_figures(SELECTIONS)


rule selection_tables:
    input:
        list(dict.fromkeys(path for files in SELECTIONS for path in files.paths)),
    output:
        tables=[PATHS.root / f"tables/{one.name}{suffix}" for one in selection_tables() for suffix in one.suffixes],
        pages=[report(PATHS.root / f"tables/{one.name}.html", **in_report(one, CAPTIONS)) for one in selection_tables()],
        figures=[report(PATHS.root / f"figures/{one.name}.svg", **in_report(one, CAPTIONS)) for one in LOOKED],
        prints=[PATHS.root / f"figures/{one.name}.pdf" for one in LOOKED],
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
