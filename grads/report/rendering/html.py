"""HTML pages that need no other file: Snakemake's report shows a CSV as a download only.

The tables on them are sorted by a click on a column's title, or by Enter on it: up, down, and as they were. Rows stay
below the title of their block.
"""

import base64
import html
import io

from matplotlib.figure import Figure

from grads.report.drawing.style import save
from grads.report.rendering.layout import Block, Entry, Table

_STYLE = """
body { font: 13.5px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.5rem; }
h1 { font-size: 1.5rem; margin: .6rem 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .3rem; max-width: 60rem; }
.label { display: inline-block; padding: .2rem .6rem; background: #fdf3d8; border-left: 4px solid #d9a400; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
table { font-variant-numeric: tabular-nums; }
th, td { padding: .18rem .5rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead tr:last-child th { border-bottom: 1px solid; }
thead .group { text-align: center; border-bottom: 1px solid #999; border-left: .6rem solid #fff; }
.sortable thead tr:last-child th { cursor: pointer; } .sortable th:focus-visible { outline: 2px solid #0072b2; }
th[aria-sort]::after { content: " \\2193"; color: #0072b2; }
th[aria-sort="ascending"]::after { content: " \\2191"; }
tbody th.block { text-align: left; padding-top: .8rem; font-style: italic; font-weight: normal; color: #555; }
tbody tr:hover td { background: #f2f6fa; }
small { color: #666; } .best { font-weight: 700; } .second { text-decoration: underline; }
td.prose { text-align: left; white-space: pre-wrap; min-width: 16rem; max-width: 60rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .notes { max-width: 60rem; color: #444; padding-left: 1.2rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pictures img { max-width: 100%; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; } summary { cursor: pointer; margin: .8rem 0; }
"""

_SORT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows].at(-1).cells;
  const bodies = [...table.tBodies].map(body => [body, [...body.rows].filter(row => row.cells[0].tagName === "TD")]);
  const value = (row, column) => {
    const text = row.cells[column].querySelector("span").textContent.trim();
    const number = parseFloat(text.replace("\u2212", "-").replace("< ", ""));
    return column > 0 && !Number.isNaN(number) ? number : text;
  };
  const compare = (first, second) => {
    const kinds = [typeof first, typeof second];
    if (kinds[0] !== kinds[1]) return kinds[0] === "number" ? -1 : 1;
    return kinds[0] === "number" ? first - second : first.localeCompare(second);
  };
  const sort = column => {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[heads[column].getAttribute("aria-sort") ?? "none"];
    for (const head of heads) head.removeAttribute("aria-sort");
    if (order !== "none") heads[column].setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    for (const [body, rows] of bodies) {
      const sorted = [...rows];
      if (order !== "none") sorted.sort((a, b) => sign * compare(value(a, column), value(b, column)));
      body.append(...sorted);
    }
  };
  [...heads].forEach((head, column) => {
    head.tabIndex = 0;
    head.title = "sort";
    head.addEventListener("click", () => sort(column));
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(column); });
  });
}
"""


def page(table: Table) -> str:
    """Return the page of one table."""
    return document(table.name, table.label, table_section(table))


def document(title: str, label: str, body: str) -> str:
    """Return a page of some HTML.

    Args:
        title: the page's, as plain text.
        label: what a reader of the study must know, as plain text; it stands above the rest.
        body: the rest, as HTML.
    """
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<style>{_STYLE}</style></head>\n<body>\n<p class="label">{html.escape(label)}</p>\n'
        f"{body}<script>{_SORT}</script>\n</body>\n</html>\n"
    )


def table_section(table: Table) -> str:
    """Return the caption, the table and its notes as HTML."""
    groups = "".join(
        f'<th class="group" colspan="{width}">{html.escape(title)}</th>' if title else f'<th colspan="{width}"></th>'
        for title, width in table.groups
    )
    header = "".join(f"<th>{html.escape(title)}</th>" for title in table.header)
    rows = "\n".join(block_rows(block, len(table.header)) for block in table.blocks)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    top = f"<thead>{f'<tr>{groups}</tr>' if any(title for title, _ in table.groups) else ''}<tr>{header}</tr></thead>"
    return (
        f'<p>{html.escape(table.caption)}</p>\n<div class="wide"><table class="sortable">\n{top}\n{rows}\n'
        f'</table></div>\n<ul class="notes">{notes}</ul>\n'
    )


def picture(figure: Figure, what: str) -> str:
    """Return a figure as HTML, with a text that says what it shows to those who cannot see it."""
    drawn = io.BytesIO()
    save(figure, drawn, "svg")
    source = base64.b64encode(drawn.getvalue()).decode()
    return f'<img alt="{html.escape(what)}" src="data:image/svg+xml;base64,{source}">\n'


def block_rows(block: Block, columns: int) -> str:
    """Return a block as a table's body in HTML, its title spanning so many columns."""
    title = f'<tr><th class="block" colspan="{columns}">{html.escape(block.title)}</th></tr>\n' if block.title else ""
    rows = "\n".join("<tr>" + "".join(map(_entry, row)) + "</tr>" for row in block.rows)
    return f"<tbody>\n{title}{rows}\n</tbody>"


def _entry(entry: Entry) -> str:
    style = {1: ' class="best"', 2: ' class="second"'}.get(entry.place, "")
    aside = f" <small>{html.escape(entry.aside)}</small>" if entry.aside else ""
    kind = ' class="prose"' if entry.prose else ""
    return f"<td{kind}><span{style}>{html.escape(entry.text)}</span>{aside}</td>"
