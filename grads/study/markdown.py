"""Texts as they stand in Markdown."""

import re

# What has a meaning in Markdown, within a line or at its beginning.
_MARKUP = re.compile(r"[\\`*_\[\]<>~#&$|!]|^(?=[-+=]|\d+[.)])", re.MULTILINE)


def cell(text: str) -> str:
    """Return Markdown as it stands in a cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")


def plain(text: str) -> str:
    """Return the Markdown that shows a text as it is, on one line, whatever is in it."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
