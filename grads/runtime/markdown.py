"""Texts as they stand in Markdown."""

import re

# What opens or closes markup within a line. An underscore does at the edge of a word only, a bracket before another.
_MARKUP = re.compile(r"[\\`*~$|]|(?<!\w)_|_(?!\w)|<(?=[^\s\d])|&(?=#?\w+;)|\](?=[(\[:])|!(?=\[)")


def cell(text: str) -> str:
    """Return Markdown as it stands in a cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")


def plain(text: str) -> str:
    """Return the Markdown that shows a text as it is, on one line, whatever is in it; plain words stay as they are."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
