"""Pages in a real browser: a click on a title sorts."""

import re

import pandas as pd
import pytest

from grads.report.rendering.html import page
from grads.report.rendering.layout import ABSENT, Block, Entry, Table

FIRST = [("b", "\u22121.5"), ("a", "10.0"), ("c", ABSENT), ("d", "9.0")]
# The smallest p-values are told as a bound.
SECOND = [("z", "0.200"), ("y", "< 0.001")]


@pytest.fixture
def text():
    blocks = [Block(name, [[Entry(head), Entry(value, "±1")] for head, value in rows]) for name, rows in
              (("One", FIRST), ("Two", SECOND))]  # fmt: skip
    return page(Table("t", "label", "caption", [("", 1), ("Group", 1)], ["arm", "value"], blocks, [], pd.DataFrame()))


def order(document):
    """Return the heads of rows and of blocks, from top to bottom."""
    found = re.findall(r'<td><span>([a-z])</span>|class="block"[^>]*>(\w)', document)
    return "".join(row or block for row, block in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clicks", "expected"),
    [
        ([], "ObacdTzy"),
        ([1], "ObdacTyz"),
        # What is not there is last going up, and first going down.
        ([1, 1], "OcadbTzy"),
        ([1, 1, 1], "ObacdTzy"),
        ([0], "OabcdTyz"),
        ([1, 0, 0], "OdcbaTzy"),
    ],
)
def test_a_click_sorts_rows_within_their_block(text, clicks, expected, browser, tmp_path):
    click = "".join(f"document.querySelectorAll('thead tr:last-child th')[{column}].click();" for column in clicks)
    (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{click}</script></body>"))
    document, messages = browser(tmp_path / "page.html")
    assert messages == []
    assert order(document) == expected
    assert document.count("aria-sort=") - text.count("aria-sort=") == (len(clicks) > 0 and clicks != [1, 1, 1])
