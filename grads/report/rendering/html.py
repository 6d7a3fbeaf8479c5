"""HTML pages that need no other file and no network: Snakemake's report shows a CSV as a download only.

Tables are sorted by a click on a column's title, or by Enter or the space bar on it: up, down, and as they were. Rows
stay below the title of their block. A field above the first table of arms leaves the rows of some arms.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from grads.report.drawing.style import save
from grads.report.rendering.assets import SCRIPT, STYLE
from grads.report.rendering.layout import Block, Entry, Table

SUMMARY = 140
"""Characters of an item's question that are shown before it is opened."""


@dataclass(frozen=True)
class Link:
    """A link to another page of the report.

    Attributes:
        title: what it says, as plain text.
        address: of the page's file, from the folder of the page that has the link.
    """

    title: str
    address: str


@dataclass(frozen=True)
class Item:
    """Something that was asked, with answers next to each other; it opens by a click.

    Attributes:
        asked: the whole question.
        blocks: answers, a row each: whose it is, the answer, and what is to be said of it.
        stays: how many of the first rows stay whatever arms are shown.
        benchmark: what it is of; empty for the domain's own records.
        lost: arms whose answer turned from right to wrong.
        gained: arms whose answer turned from wrong to right.
    """

    asked: str
    blocks: Sequence[Block]
    stays: int = 1
    benchmark: str = ""
    lost: Sequence[str] = field(default_factory=list)
    gained: Sequence[str] = field(default_factory=list)


def page(table: Table) -> str:
    """Return the page of one table."""
    heading = f"<h1>{html.escape(table.name.replace('_', ' ').capitalize())}</h1>\n"
    return document(
        table.name,
        table.label,
        heading + table_section(table, open_notes=True),
        [Link("Overview", "../pages/index.html")],
    )


def document(title: str, label: str, body: str, links: Sequence[Link] = (), here: str = "") -> str:
    """Return a page of some HTML.

    Args:
        title: the page's, as plain text.
        label: what a reader of the study must know, as plain text; it stands above the rest.
        body: the rest, as HTML, with a heading of the first level.
        links: to the other pages.
        here: the address of that link that leads to this page.
    """
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<style>{STYLE}</style></head>\n<body>\n<header><a class="skip" href="#content">To the content</a>\n'
        f'<p class="label">{html.escape(label)}</p>\n{_navigation(links, here)}</header>\n<main id="content">\n'
        f"{body}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _navigation(links: Sequence[Link], here: str) -> str:
    if not links:
        return ""
    return f'<nav class="local" aria-label="Pages of the report">{link_list(links, here)}</nav>\n'


def link_list(links: Sequence[Link], here: str = "") -> str:
    """Return a list of links as HTML; the one to the page itself is marked."""
    current = {one: ' aria-current="page"' if one.address == here else "" for one in links}
    return (
        '<ul class="links">'
        + "".join(
            f'<li><a href="{html.escape(one.address)}"{current[one]}>{html.escape(one.title)}</a></li>' for one in links
        )
        + "</ul>"
    )


def table_section(table: Table, open_notes: bool = False) -> str:
    """Return the caption, the table and its notes, which are opened by a click unless they are open, as HTML."""
    groups = "".join(
        f'<th class="group" colspan="{width}">{html.escape(title)}</th>' if title else f'<td colspan="{width}"></td>'
        for title, width in table.groups
    )
    header = "".join(f'<th scope="col">{html.escape(title)}</th>' if title else "<td></td>" for title in table.header)
    rows = "\n".join(block_rows(block, len(table.header)) for block in table.blocks)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    is_open = " open" if open_notes else ""
    top = f"<thead>{f'<tr>{groups}</tr>' if any(title for title, _ in table.groups) else ''}<tr>{header}</tr></thead>"
    return (
        f"<p>{html.escape(table.caption)}</p>\n{scrolled(f'table {table.name}')}"
        f'<table class="sortable">\n{top}\n{rows}\n</table></div>\n'
        + (f'<details class="notes"{is_open}><summary>Notes</summary><ul>{notes}</ul></details>\n' if notes else "")
    )


def scrolled(what: str, kind: str = "wide") -> str:
    """Return the beginning of a part that is scrolled where it is wider than the page, by the keyboard, too."""
    return f'<div class="{kind}" tabindex="0" role="group" aria-label="{html.escape(what)}">'


def picture(figure: Figure, what: str) -> str:
    """Return a figure as HTML, with a text that says what it shows to those who cannot see it."""
    drawn = io.BytesIO()
    save(figure, drawn, "svg")
    source = base64.b64encode(drawn.getvalue()).decode()
    image = f'<img alt="{html.escape(what)}" src="data:image/svg+xml;base64,{source}">'
    return f"{scrolled(f'figure: {what}', 'figure')}{image}</div>\n"


def preformatted(text: str, what: str) -> str:
    """Return a text as it stands, such as a config, that is scrolled where it is wide."""
    return f'<pre tabindex="0" role="group" aria-label="{html.escape(what)}">{html.escape(text)}</pre>\n'


def block_rows(block: Block, columns: int, stays: int = 0) -> str:
    """Return a block as a table's body in HTML, its title spanning so many columns.

    Args:
        block: the rows and their title.
        columns: of the table.
        stays: how many of the first rows stay whatever arms are shown.
    """
    title = (
        f'<tr><th class="block" colspan="{columns}" scope="rowgroup">{html.escape(block.title)}</th></tr>\n'
        if block.title
        else ""
    )
    rows = "\n".join(
        f"<tr{_STAYS if number < stays else ''}>" + "".join(map(_entry, row)) + "</tr>"
        for number, row in enumerate(block.rows)
    )
    return f"<tbody>\n{title}{rows}\n</tbody>"


_STAYS = ' class="stays"'


def explorer(items: Sequence[Item], arms: Sequence[str] = ()) -> str:
    """Return items that are opened by a click, and chosen by what is in them and, given arms, by what changed."""
    listed = f" data-arms='{_json(arms)}'" if arms else ""
    return f'<div class="explorer"{listed}>\n{"".join(map(_item, items))}</div>\n'


def _item(one: Item) -> str:
    changes: Mapping[str, Sequence[str]] = {"lost": one.lost, "gained": one.gained}
    data = f' data-benchmark="{html.escape(one.benchmark)}"' if one.benchmark else ""
    data += "".join(f" data-{name}='{_json(arms)}'" for name, arms in changes.items() if arms)
    said = {"lost": "right \u2192 wrong", "gained": "wrong \u2192 right"}
    counts = [f' <span class="{name}">{len(arms)} {said[name]}</span>' for name, arms in changes.items() if arms]
    words = " ".join(one.asked.split())
    short = f"{words[:SUMMARY]} \u2026" if len(words) > SUMMARY else words
    kind = f'<span class="soft">{html.escape(one.benchmark)}:</span> ' if one.benchmark else ""
    columns = max(len(row) for block in one.blocks for row in block.rows)
    bodies = "\n".join(
        block_rows(block, columns, 0 if number else one.stays) for number, block in enumerate(one.blocks)
    )
    whole = f'<p class="asked">{html.escape(one.asked)}</p>\n' if short != one.asked else ""
    return (
        f'<details class="item"{data}><summary>{kind}{html.escape(short)}{"".join(counts)}</summary>\n{whole}'
        f'<table class="answers">\n{bodies}\n</table></details>\n'
    )


def _json(names: Sequence[str]) -> str:
    return html.escape(json.dumps(list(names), ensure_ascii=False))


def _entry(entry: Entry) -> str:
    style = {1: ' class="best"', 2: ' class="second"'}.get(entry.place, "")
    aside = f" <small>{html.escape(entry.aside)}</small>" if entry.aside else ""
    kind = ' class="prose"' if entry.prose else ""
    return f"<td{kind}><span{style}>{html.escape(entry.text)}</span>{aside}</td>"
