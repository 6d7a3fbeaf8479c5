import dataclasses
import shutil
import subprocess

import pytest

from grads.report.measurements import collect
from grads.report.registry import table_names
from grads.report.run import make_measurements, make_tables, write_tables
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.mark.slow
def test_tables_and_figures_come_from_the_long_table_alone_and_twice_the_same(study, make_cells, tmp_path):
    files = make_cells(study)
    for name in ("first", "second"):
        make_measurements(study, files, tmp_path / name / "measurements.parquet")
    for one in files:
        one.metrics.unlink()
    for name in ("first", "second"):
        root = tmp_path / name
        make_tables(study, root / "measurements.parquet", root / "tables", root / "figures")
    made = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    stems = [
        f"tables/{name}.{kind}"
        for name in ("cost", "domain", "forgetting", "main", "transitions")
        for kind in ("csv", "html", "md", "tex")
    ]
    figures = [
        f"figures/{name}.{kind}"
        for name in ("overview", "differences", "ratio", "tradeoff", "benchmarks", "efficiency")
        for kind in ("pdf", "svg")
    ]
    assert {str(path) for path in made} == {*stems, *figures, "measurements.parquet"}
    for path in made:
        if not path.name.endswith("manifest.json"):
            assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes()


@pytest.fixture
def all_tables(config, make_cells, tmp_path):
    """The folder with every table that a study can have."""
    config["evaluation"] |= {"metrics": ["meteor", "response_nll"], "cross_domain": True}
    config["models"] |= {f"m{i}": {"title": f"M {i}", "source": {"kind": "tiny"}} for i in range(3)}
    config["arms"]["grads_density-head"] = {"method": "grads_density", "ratios": ["0.5"], "start": "warm"}
    claims = ["full beats random@0.5 on meteor", "random@0.5 forgets less than full on kl"]
    study = parse_study(config | {"seeds": [0, 1, 2], "claims": [{"claim": one} for one in claims]})
    files = {str(one.cell): one for one in make_cells(study)}
    crossed = []
    for one in files.values():
        (other,) = {"law", "tax"} - {one.cell.domain}
        there = files[str(dataclasses.replace(one.cell, domain=other))].metrics
        crossed.append(dataclasses.replace(one, cross={other: there}))
    write_tables(study, Estimates(collect(study, crossed)), tmp_path / "tables")
    return study, tmp_path / "tables"


def test_every_table_says_whose_chance_its_intervals_hold(all_tables):
    study, folder = all_tables
    assert table_names(study) == [
        "main",
        "domain",
        "forgetting",
        "cost",
        "transitions",
        "cross",
        "ablation",
        "claims",
        "ranks",
    ]
    for name in table_names(study):
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        assert "nan" not in text.lower()
        if name not in ("cost", "ranks"):
            assert "items and seeds, which are crossed (3 seeds" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_table_compiles(all_tables):
    study, folder = all_tables
    inputs = "".join(rf"\input{{{name}.tex}}\clearpage" for name in table_names(study))
    text = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    (folder / "all.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (folder / "all.log").read_text(encoding="latin-1")
