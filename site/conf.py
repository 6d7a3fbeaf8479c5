"""The documentation as a site: `make site`, which fails where a link leads nowhere.

The sources are the repository's own Markdown files, so that a link means the same on GitHub and here: one to a page
leads to its page, one to any other file (a config, code) to a copy of that file. docs/index.md gives the navigation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

INDEX = "docs/index"
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
GROUP = re.compile(r"^## (?P<caption>.*)\n(?P<body>(?:(?!^## ).*\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<path>[^)]+)\.md\)", re.MULTILINE)

project = "grads"
author = "The grads authors"
copyright = author
root_doc = INDEX
include_patterns = ["*.md", "docs/*.md", "config/*.md", "benchmarks/**.md", "results/*.md", "results/reference/**.md"]
exclude_patterns = ["**/.*", ".*", "resources", "logs", "site/build", "tests", "grads"]
templates_path = ["templates"]

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
myst_heading_anchors = 6
myst_fence_as_directive = ["mermaid"]
# Pages outside the navigation are reached by links; a page may begin with any heading; a block of code need not be a
# whole program.
suppress_warnings = ["toc.not_included", "myst.header", "misc.highlighting_failure"]

html_theme = "furo"
html_title = "grads"
html_copy_source = False
html_additional_pages = {"index": "start.html"}


def navigation(index: str) -> str:
    """Return the groups of the index as hidden toctrees, in MyST's Markdown."""
    trees = []
    for group in GROUP.finditer(index):
        pages = [
            f"{entry['title']} <{entry['path']}>" if entry["path"].startswith("../") else entry["path"]
            for entry in ENTRY.finditer(group["body"])
        ]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {group['caption']}", "", *pages, "```"]))
    return "\n\n".join(trees)


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the navigation to the index, and keep lines that MyST, unlike GitHub, takes for comments."""
    parts = FENCED.split(source[0])
    source[0] = "".join(part if part.startswith("```") else re.sub(r"^%", r"\\%", part, flags=re.M) for part in parts)
    if docname == INDEX:
        source[0] += f"\n\n{navigation(source[0])}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx prepare each page before it is read."""
    app.connect("source-read", prepare)
    return {"parallel_read_safe": True}
