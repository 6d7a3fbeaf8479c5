"""Tables as files: CSV for machines, Markdown and HTML to read, LaTeX (booktabs) for a paper."""

import re
from collections.abc import Sequence
from pathlib import Path

from grads.data.spreadsheet import csv_text
from grads.report.rendering.html import page
from grads.report.rendering.layout import Entry, Table
from grads.runtime.files import write_text
from grads.runtime.markdown import cell, plain

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u2212": "$-$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\textsection{}",
    "¶": r"\textparagraph{}",
    "‖": r"\textbardbl{}",
}

# What has a meaning in Markdown, within a line.
_MARKUP = re.compile(r"[\\`*_\[\]<>~#&$]")


def write_table(table: Table, stem: Path) -> None:
    """Write `<stem>.csv`, `.md`, `.html` and, unless it holds running text, `.tex`; equal tables give equal bytes."""
    texts = {".csv": csv_text(table.tidy), ".md": markdown(table), ".html": page(table)}
    if not any(entry.prose for block in table.blocks for row in block.rows for entry in row):
        texts[".tex"] = latex(table)
    for suffix, text in texts.items():
        write_text(stem.parent / f"{stem.name}{suffix}", text)


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown; groups are put before their column titles, since it has no spans."""
    header = [f"{group} {title}".strip() for group, title in zip(_spread_groups(table), table.header, strict=True)]
    lines = [f"**{plain(table.label)}**", "", plain(table.caption), "", _line([plain(title) for title in header])]
    prose = {place for block in table.blocks for row in block.rows for place, entry in enumerate(row) if entry.prose}
    lines.append(_line([":--" if place in {0, *prose} else "--:" for place in range(len(table.header))]))
    for block in table.blocks:
        if block.title:
            lines.append(_line([f"*{plain(block.title)}*"] + [""] * (len(table.header) - 1)))
        lines += [_line([_markdown_entry(entry) for entry in row]) for row in block.rows]
    return "\n".join([*lines, "", *(f"- {plain(note)}" for note in table.notes)]) + "\n"


def latex(table: Table) -> str:
    """Return the table as a LaTeX `table*` for the packages booktabs and graphicx (it is shrunk to the text width)."""
    columns = len(table.header)
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape(table.caption)} {escape(table.label)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"\toprule",
        *_latex_groups(table),
        " & ".join(escape(title) for title in table.header) + r" \\",
    ]
    for block in table.blocks:
        lines.append(r"\midrule")
        if block.title:
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escape(block.title)}}}}} \\")
        lines += [" & ".join(_latex_entry(entry) for entry in row) + r" \\" for row in block.rows]
    notes = r" \\ ".join(escape(note) for note in table.notes)
    lines += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip", rf"\parbox{{\textwidth}}{{\footnotesize {notes}}}"]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def latex_page(names: Sequence[str]) -> str:
    """Return a LaTeX document of one page with the tables of these names, whose files lie next to it.

    They stand below each other, and are shrunk together where they are longer than the page.
    """
    return _PAGE.replace("TABLES", "\n".join(rf"\input{{{name}.tex}}" for name in names))


_PAGE = r"""% One page of tables: pdflatex paper.tex
\documentclass[10pt]{article}
\usepackage[a4paper,margin=15mm]{geometry}
\usepackage{booktabs,graphicx}
\pagestyle{empty}
\setlength{\parindent}{0pt}
% Here the tables do not float: they are put into one box, which is shrunk if it is higher than the page.
\makeatletter
\renewenvironment{table*}{\def\@captype{table}\begin{minipage}{\textwidth}\centering}{\end{minipage}\par\bigskip}
\makeatother
\newsavebox{\tables}
\begin{document}
\begin{lrbox}{\tables}\begin{minipage}{\textwidth}
TABLES
\end{minipage}\end{lrbox}
\centering
\ifdim\dimexpr\ht\tables+\dp\tables\relax>\textheight
\resizebox*{!}{\textheight}{\usebox{\tables}}
\else
\usebox{\tables}
\fi
\end{document}
"""


def escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _spread_groups(table: Table) -> list[str]:
    return [title for title, width in table.groups for _ in range(width)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_entry(entry: Entry) -> str:
    if entry.prose:
        return cell(_MARKUP.sub(r"\\\g<0>", entry.text))
    text = plain(entry.text) if entry.verbatim else cell(entry.text)
    marked = {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(entry.place, text)
    return f"{marked} {cell(entry.aside)}".strip()


def _latex_entry(entry: Entry) -> str:
    text = escape(entry.text)
    if text[:1] in ("[", "*"):  # What follows the end of a row would be taken for its options.
        text = "{}" + text
    marked = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(entry.place, text)
    return marked + (rf" {{\scriptsize {escape(entry.aside)}}}" if entry.aside else "")


def _latex_groups(table: Table) -> list[str]:
    if not any(title for title, _ in table.groups):
        return []
    titles = []
    rules = []
    column = 1
    for title, width in table.groups:
        titles.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return [" & ".join(titles) + r" \\", "".join(rules)]
