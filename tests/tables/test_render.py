import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest

from grads.tables.layout import Block, Entry, Table
from grads.tables.render import escape, latex, markdown, page, write_table


@pytest.fixture
def table():
    rows = [
        [Entry("grads_density@0.5†"), Entry("\u22121.50", "±0.25", place=1), Entry("60 %")],
        [Entry("a|b"), Entry("<2>", place=2), Entry("")],
    ]
    return Table(
        name="domain",
        label="100% made & up.",
        caption="A caption.",
        groups=[("", 1), ("R&D", 2)],
        header=["arm", "BLEU ↑", "x_1"],
        blocks=[Block("Tiny_1", rows)],
        notes=["KL(untuned || tuned), Δ."],
        tidy=pd.DataFrame({"arm": ["grads"], "value": [1 / 3]}),
    )


def test_markdown(table):
    assert markdown(table).splitlines() == [
        "**100% made & up.**",
        "",
        "A caption.",
        "",
        "| arm | R&D BLEU ↑ | R&D x_1 |",
        "| :-- | --: | --: |",
        "| *Tiny_1* |  |  |",
        "| grads_density@0.5† | **\u22121.50** ±0.25 | 60 % |",
        "| a\\|b | <u><2></u> |  |",
        "",
        "- KL(untuned \\|\\| tuned), Δ.",
    ]


def test_latex_marks_and_escapes(table):
    text = latex(table)
    assert r"grads\_density@0.5\textdagger{} & \textbf{$-$1.50} {\scriptsize $\pm$0.25} & 60 \% \\" in text
    assert r"a\textbar{}b & \underline{\textless{}2\textgreater{}} &  \\" in text
    assert r" & \multicolumn{2}{c}{R\&D} \\" in text
    assert r"\cmidrule(lr){2-3}" in text
    assert r"arm & BLEU $\uparrow$ & x\_1 \\" in text
    assert r"\caption{A caption. 100\% made \& up.}" in text
    assert text.isascii()
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count("\\" + rule) == 1


def test_escape_leaves_no_special_character_alone():
    assert escape("\\ & % $ # _ { } ~ ^") == (
        r"\textbackslash{} \& \% \$ \# \_ \{ \} \textasciitilde{} \textasciicircum{}"
    )


def test_html_is_well_formed_and_escaped(table):
    text = page(table)
    opened: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            opened.extend([tag] if tag != "meta" else [])

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Checker().feed(text)
    assert opened == []
    assert '<td><span class="best">\u22121.50</span> <small>±0.25</small></td>' in text
    assert '<span class="second">&lt;2&gt;</span>' in text
    assert '<th class="group" colspan="2">R&amp;D</th>' in text
    assert not re.search(r"(src|href)=", text)


def test_write_table_gives_equal_bytes_and_full_precision(table, tmp_path):
    write_table(table, tmp_path / "first" / "domain.v1")
    write_table(table, tmp_path / "second" / "domain.v1")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == [f"domain.v1.{suffix}" for suffix in ("csv", "html", "md", "tex")]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert (tmp_path / "first" / "domain.v1.csv").read_text() == "arm,value\ngrads,0.3333333333333333\n"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(table, tmp_path):
    document = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n%s\\end{document}\n"
    (tmp_path / "t.tex").write_text(document % latex(table))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
