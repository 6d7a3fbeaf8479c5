# The long table of measurements, and the tables, figures and pages made from it.


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
        mem_mb=memory("measurements"),
        runtime=minutes("measurements"),
    params:
        job=settings_of("measurements"),
    script:
        "../scripts/run.py"


rule tables:
    input:
        unpack(inputs_of("tables")),
    output:
        tables=made("tables", "tables"),
        pages=shown("tables", "pages", TABLES),
        figures=shown("tables", "figures", FIGURES),
        prints=made("tables", "prints"),
    log:
        PATHS.log("tables"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("tables"),
        runtime=minutes("tables"),
    params:
        job=settings_of("tables"),
    script:
        "../scripts/run.py"


rule curves:
    input:
        unpack(inputs_of("curves")),
    output:
        figures=shown("curves", "figures", FIGURES),
        prints=made("curves", "prints"),
    log:
        PATHS.log("curves"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("curves"),
        runtime=minutes("curves"),
    params:
        job=settings_of("curves"),
    script:
        "../scripts/run.py"


# What was selected, looked at: overlaps, subsets and extremes, from selections, signals and records.
rule selection_tables:
    input:
        unpack(inputs_of("selection_tables")),
    output:
        tables=made("selection_tables", "tables"),
        pages=shown("selection_tables", "pages", TABLES),
        figures=shown("selection_tables", "figures", FIGURES),
        prints=made("selection_tables", "prints"),
    log:
        PATHS.log("selection_tables"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("selection_tables"),
        runtime=minutes("selection_tables"),
    params:
        job=settings_of("selection_tables"),
    script:
        "../scripts/run.py"


# The pages of the report: one a domain, with answers side by side, and one that says how the study was made.
rule pages:
    input:
        unpack(inputs_of("pages")),
    output:
        page_items(),
    log:
        PATHS.log("pages"),
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=memory("pages"),
        runtime=minutes("pages"),
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
