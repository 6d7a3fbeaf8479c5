import re
import shutil
import subprocess

import pytest

from grads.report.measurements import collect
from grads.report.paper import PAGE, WIDTHS, make_paper
from grads.report.registry import measured_figures
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.fixture
def claimed(config, make_cells):
    """A study with claims, and its estimates."""
    claims = ["full beats random@0.5 on meteor", "random@0.5 forgets less than full on kl"]
    study = parse_study(config | {"seeds": [0, 1, 2], "claims": [{"claim": one} for one in claims]})
    return study, Estimates(collect(study, make_cells(study)))


@pytest.mark.slow
def test_the_page_has_its_tables_and_is_one(claimed, tmp_path):
    make_paper(*claimed, tmp_path)
    text = (tmp_path / "paper.tex").read_text()
    assert re.findall(r"\\input\{(\w+)\.tex\}", text) == list(PAGE)
    sizes = {path.name: media_box(path) for path in tmp_path.glob("*.pdf")}
    assert set(sizes) == {f"{one.name}-{width}.pdf" for one in measured_figures(claimed[0]) for width in WIDTHS}
    for name, width in WIDTHS.items():
        assert {round(size / 72, 2) for file, size in sizes.items() if file.endswith(f"-{name}.pdf")} == {width}
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex: apt-get install texlive-latex-recommended")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(encoding="latin-1")
    assert "paper.pdf (1 page" in log
    assert "Missing character" not in log
    assert "Overfull" not in log


def media_box(path):
    """Return the width of a PDF's page in points."""
    return float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", path.read_bytes())[1])
