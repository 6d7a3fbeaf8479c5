"""What the report says of tables and figures: they declare it as text, and Snakemake reads it from a file.

A caption is reStructuredText and a Jinja template that Snakemake fills in. It may write `{{ tasks }}`, the titles of
the general benchmarks, `{{ text(words) }}` for words of the config, of which nothing shall be markup, and
`snakemake.config` for the rest. The study's label stands above every caption.
"""

from pathlib import Path
from typing import Any

from grads.report.contract import Item, TableItem
from grads.runtime.files import write_text

# Signs that mean something to reStructuredText, and line breaks.
_PLAIN = r'{10: 32, 42: "\\*", 58: "\\:", 92: "\\\\", 95: "\\_", 96: "\\`", 124: "\\|"}'
_HEAD = f"""\
{{%- macro text(words) %}}{{{{ words.strip().translate({_PLAIN}) }}}}{{% endmacro -%}}
{{%- set benchmarks = snakemake.config["general"].get("tasks", {{}}).values() -%}}
{{%- set tasks = text(benchmarks | map(attribute="title") | join(", ")) -%}}
**{{{{ text(snakemake.config["label"]) }}}}**

"""


def caption_text(item: Item) -> str:
    """Return the template of an item's caption, with the study's label above."""
    return f"{_HEAD}{item.caption.strip()}\n"


def caption_file(item: Item, folder: Path) -> Path:
    """Return the file of an item's caption in a folder; it is written unless it is there."""
    path = folder / f"{item.name}.rst"
    text = caption_text(item)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path


def in_report(item: Item, folder: Path) -> dict[str, Any]:
    """Return how Snakemake's report shows a file of an item, as arguments of its `report`; captions go to a folder."""
    kind = "tables" if isinstance(item, TableItem) else "figures"
    caption = caption_file(item, folder / kind)
    return {"caption": str(caption), "category": item.category, "labels": {"show": item.title}}
