# The long table of measurements, and the tables, figures and pages made from it.
TABLES, CURVES, SELECTED, PAGES = (
    GRAPH.job(rule, {}).made for rule in ("tables", "curves", "selection_tables", "pages")
)


def name_of(path):
    return path.stem.capitalize()


def title_of(page):
    """Return a domain's title as a label of the report, in whose page nothing may end a script."""
    return STUDY.domains[page.stem].title.replace("<", "\u2039")


rule measurements:
    input:
        unpack(inputs_of("measurements")),
    output:
        PATHS.root / "measurements.parquet",
    log:
        PATHS.log("measurements"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("measurements"),
    script:
        "../scripts/run.py"


rule tables:
    input:
        unpack(inputs_of("tables")),
    output:
        tables=TABLES["tables"],
        pages=shown(TABLES["pages"], "Tables", name_of),
        figures=shown(TABLES["figures"], "Figures", name_of),
        prints=TABLES["prints"],
    log:
        PATHS.log("tables"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("tables"),
    script:
        "../scripts/run.py"


rule curves:
    input:
        unpack(inputs_of("curves")),
    output:
        shown(CURVES["figure"], "Figures", name_of),
        CURVES["printed"],
    log:
        PATHS.log("curves"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("curves"),
    script:
        "../scripts/run.py"


# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
rule selection_tables:
    input:
        unpack(inputs_of("selection_tables")),
    output:
        tables=SELECTED["tables"],
        extremes=SELECTED["extremes"],
        pages=shown(SELECTED["pages"], "Selection", lambda path: f"{name_of(path)} (table)"),
        figures=shown(SELECTED["figures"], "Selection", lambda path: f"{name_of(path)} (figure)"),
        prints=SELECTED["prints"],
    log:
        PATHS.log("selection_tables"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("selection_tables"),
    script:
        "../scripts/run.py"


# The pages of the report: one a domain, with answers side by side, and one that says how the study was made.
rule pages:
    input:
        unpack(inputs_of("pages")),
    output:
        shown(PAGES["pages"], "Domains", title_of, "page"),
        shown(PAGES["provenance"], "Provenance", lambda path: "Config and manifest"),
    log:
        PATHS.log("pages"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        job=settings_of("pages"),
    script:
        "../scripts/run.py"


# Tables and figures over what is there, asked for by name (`snakemake partial`): no inputs, so that nothing is made for
# them, and no declared outputs, so that they are made again each time.
rule partial:
    log:
        PATHS.log("partial"),
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        job=settings_of("partial"),
    script:
        "../scripts/run.py"
