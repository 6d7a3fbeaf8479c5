# The long table of measurements, and the tables and figures made from it.
from grads.tables.files import FIGURES, TABLES, cell_files, listed

STORES = {arm: arm_stores(STUDY, arm) for arm in STUDY.arms}


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
        study=config,
        stores=STORES,
        code=code_version("grads.tables.stage"),
    script:
        "../scripts/measurements.py"


rule tables:
    input:
        PATHS.root / "measurements.parquet",
    output:
        tables=expand(PATHS.root / "tables" / "{name}{suffix}", name=TABLES, suffix=[".csv", ".md", ".tex"]),
        pages=[shown(name, ".html", "Tables") for name in TABLES],
        figures=[shown(name, ".svg", "Figures") for name in FIGURES],
        prints=expand(PATHS.root / "figures" / "{name}.pdf", name=FIGURES),
    log:
        PATHS.root / "logs" / "tables.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=config,
        code=code_version("grads.tables.stage"),
    script:
        "../scripts/tables.py"


# Tables over what is there, asked for by name (`snakemake partial`): no inputs, so that nothing is made for them, and
# no declared outputs, so that they are made anew each time.
rule partial:
    log:
        PATHS.root / "logs" / "partial.log",
    localrule: True
    conda:
        "../../envs/grads.yaml"
    params:
        study=config,
        stores=STORES,
        folder=str(PATHS.root / "partial"),
    script:
        "../scripts/partial.py"
