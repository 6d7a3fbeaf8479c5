import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.report.rendering.html import page
from grads.report.rendering.layout import Block, Entry, Table
from grads.report.rendering.render import escape, latex, markdown, write_table


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


def test_bars_in_titles_of_columns_are_escaped(table):
    barred = dataclasses.replace(table, groups=[("", 1), ("R|D", 2)], header=["arm", "a | b", "x_1"])
    assert "| arm | R\\|D a \\| b | R\\|D x_1 |" in markdown(barred).splitlines()


def test_running_text_is_flush_left_in_markdown(table):
    prose = dataclasses.replace(table.blocks[0].rows[0][2], prose=True)
    blocks = [Block("", [[*table.blocks[0].rows[0][:2], prose]])]
    assert "| :-- | --: | :-- |" in markdown(dataclasses.replace(table, blocks=blocks)).splitlines()


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
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["#content", "../pages/index.html"]


def test_write_table_gives_equal_bytes_and_full_precision(table, tmp_path):
    write_table(table, tmp_path / "first" / "domain.v1")
    write_table(table, tmp_path / "second" / "domain.v1")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == [f"domain.v1.{suffix}" for suffix in ("csv", "html", "md", "tex")]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert (tmp_path / "first" / "domain.v1.csv").read_text() == "arm,value\ngrads,0.3333333333333333\n"


ODD = st.text(st.sampled_from("ab1 .|\\&%$#_{}~^<>\"'\u2212±Δ↑↓†*`"), min_size=1, max_size=6).map(lambda t: f"x{t}x")
ROWS = st.lists(
    st.lists(st.builds(Entry, ODD, st.just("") | ODD, st.integers(0, 2)), min_size=3, max_size=3), max_size=4
)


def odd_table(rows, title="Tiny_1", groups=(("", 1), ("R", 2))):
    return Table("t", "label", "caption", list(groups), ["arm", "b", "c"], [Block(title, rows)], [], pd.DataFrame())


class Cells(HTMLParser):
    """Collects the rows of a page's table body, as text with the class that marks it."""

    def __init__(self):
        super().__init__()
        self.rows, self.look, self.body = [], None, False

    def handle_starttag(self, tag, attrs):
        self.body = self.body or tag == "tbody"
        if tag == "tr" and self.body:
            self.rows.append([])
        elif tag == "td" and self.body:
            self.rows[-1].append(["", None, ""])
        elif tag == "span":
            self.rows[-1][-1][1] = dict(attrs).get("class")
        self.look = tag

    def handle_data(self, data):
        if self.look in ("span", "small") and self.rows and self.rows[-1]:
            self.rows[-1][-1][0 if self.look == "span" else 2] += data

    def handle_endtag(self, tag):
        self.look = None


@given(ROWS)
def test_a_browser_shows_what_the_table_says(rows):
    parser = Cells()
    parser.feed(page(odd_table(rows)))
    style = {0: None, 1: "best", 2: "second"}
    expected = [[[entry.text, style[entry.place], entry.aside] for entry in row] for row in rows]
    assert parser.rows[1:] == expected


@given(ROWS)
def test_markdown_rows_give_back_their_cells(rows):
    """Cut at the bars that are not escaped; a backslash before a bar is no text that a table has."""
    rows = [[dataclasses.replace(one, text=one.text.replace("\\", ""), aside="") for one in row] for row in rows]
    marks = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}
    for line, row in zip(markdown(odd_table(rows)).splitlines()[7:], rows, strict=False):
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
        assert cells == ["", *(marks[entry.place].format(entry.text) for entry in row), ""]


@given(st.lists(ODD, min_size=1, max_size=4))
def test_escaped_text_has_balanced_braces_and_no_bare_special(texts):
    for text in texts:
        bare = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]|\$(-|\\[a-zA-Z]+)\$", "", escape(text))
        assert not set(bare) & set("\\&%$#_{}~^<>|\u2212±Δ↑↓†"), bare
        assert set(bare) <= set(text)


def test_a_table_without_groups_has_no_row_for_them():
    plain = odd_table([[Entry("x"), Entry("1"), Entry("2")]], groups=[("", 3)])
    assert "cmidrule" not in latex(plain)
    assert "multicolumn{3}{l}" in latex(plain)
    assert page(plain).count("<tr>") == 3
    assert "| arm | b | c |" in markdown(plain)


def test_a_block_without_a_title_has_no_row_for_it():
    plain = odd_table([[Entry("x"), Entry("1"), Entry("2")]], title="")
    assert "textit" not in latex(plain)
    assert 'class="block"' not in page(plain)
    assert markdown(plain).splitlines()[6] == "| x | 1 | 2 |"


def test_rules_of_groups_lie_under_their_columns():
    row = [[Entry("x"), Entry("1"), Entry("2"), Entry("3"), Entry("4")]]
    wide = Table(
        "t", "label", "caption", [("", 1), ("A", 2), ("", 1), ("B", 1)], list("abcde"), [Block("", row)], [],
        pd.DataFrame(),
    )  # fmt: skip
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){5-5}" in latex(wide)
    assert r"\begin{tabular}{lrrrr}" in latex(wide)
    assert markdown(wide).splitlines()[4] == "| a | A b | A c | d | B e |"


def test_every_block_begins_below_a_rule(table):
    double = dataclasses.replace(table, blocks=table.blocks * 2)
    assert latex(double).count(r"\midrule") == 2
    assert latex(double).count(r"\textit{Tiny\_1}") == 2
    assert page(double).count('class="block" colspan="3"') == 2


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(table, tmp_path):
    document = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n%s\\end{document}\n"
    (tmp_path / "t.tex").write_text(document % latex(table))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


HOSTILE = "a*b* `c` [x](y) <i>k</i> $x_{$ ~~z~~ &amp; \\ |"


def test_somebodys_words_are_no_markup_in_markdown(table):
    from markdown_it import MarkdownIt

    named = dataclasses.replace(
        table, label=HOSTILE, blocks=[Block(HOSTILE, [[Entry(HOSTILE, verbatim=True), Entry("1"), Entry("2")]])]
    )
    text = markdown(named)
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    for element in ("<em>b", "<code>", "<a ", "<i>", "<s>"):
        assert element not in html
    assert html.count("a*b* `c` [x](y) &lt;i&gt;k&lt;/i&gt; $x_{$ ~~z~~ &amp;amp; \\ |") == 3
    # GitHub sets what stands between two dollar signs as a formula.
    assert not re.search(r"(?<!\\)\$", text)


def test_texts_that_begin_like_a_formula_are_inert_in_csv(tmp_path):
    tidy = pd.DataFrame({
        "text": ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\tx", "\rx", "plain", None],
        "number": [-1.5, 2.0, 3, 4, 5, 6, 7, float("nan")],
        "=head": [True, False] * 4,
        "mixed": ["-a", -1, -1.5, True, None, "b", "=", "0.5"],
    })  # fmt: skip
    table = Table("t", "label", "caption", [("", 1)], ["x"], [Block("", [[Entry("x")]])], [], tidy)
    write_table(table, tmp_path / "t")
    back = pd.read_csv(tmp_path / "t.csv", keep_default_na=False, dtype=str)
    assert list(back["text"]) == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x", "'\tx", "'\nx", "plain", ""]
    assert list(back["number"]) == ["-1.5", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0", ""]
    assert list(back["'=head"]) == ["True", "False"] * 4
    assert list(back["mixed"]) == ["'-a", "-1", "-1.5", "True", "", "b", "'=", "0.5"]


@pytest.mark.parametrize("head", ["[draft] arm", "*arm"])
def test_a_row_of_latex_begins_with_no_option(head):
    odd = odd_table([[Entry(head), Entry("1"), Entry("2")]])
    assert f"\n{{}}{head}" in latex(odd)
