# The pages of the report: one a domain, with answers side by side, and one that says how the study was made.
from grads.report.files import answer_files


rule pages:
    input:
        PATHS.root / "measurements.parquet",
        [path for domain in STUDY.domains for path in answer_files(STUDY, domain).paths],
        claims=outside(claim_paths()),
    output:
        [
            shown(f"pages/{name}.html", "Domains", in_page(domain.title), "page")
            for name, domain in STUDY.domains.items()
        ],
        shown("pages/provenance.html", "Provenance", "Config and manifest"),
    log:
        PATHS.root / "logs" / "pages.log",
    conda:
        "../../envs/grads.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=serialised(config),
        contents=contents_of(files=claim_paths()),
        code=version_of("pages", "grads.report.pages", *modules_of(FIGURES)),
    script:
        "../scripts/pages.py"
