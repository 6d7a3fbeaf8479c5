"""Pages in a real browser: sorting, choosing rows and items, narrow screens, and what axe-core finds."""

import html
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from grads.report.rendering.html import Item, Link, document, explorer, page, table_section
from grads.report.rendering.layout import ABSENT, Block, Entry, Table

FIRST = [("b", "\u22121.5"), ("a", "10.0"), ("c", ABSENT), ("d", "9.0")]
# The smallest p-values are told as a bound.
SECOND = [("z", "0.200"), ("y", "< 0.001")]
AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
"""What finds faults of access in a page: `npm install axe-core`."""
SENTENCE = "grads@0.25 forgets less than random_length@0.25 on gradientnormoftheheadwithoutanyspaces"


def table(blocks, rows=None):
    """Return a table with a column of arms and one of values."""
    blocks = [
        Block(name, [[Entry(head), Entry(value, "±1"), *(rows or [])] for head, value in one]) for name, one in blocks
    ]
    more = ["more"] * len(rows or [])
    groups = [("", 1), ("Group", 1 + len(more))]
    return Table("t", "label", "caption", groups, ["arm", "value", *more], blocks, ["note"], pd.DataFrame())


@pytest.fixture
def text():
    return page(table([("One", FIRST), ("Two", SECOND)]))


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens a page and runs a script in it: what the page is then."""

    def opened(text, script):
        (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{script}</script></body>"))
        found, messages = browser(tmp_path / "page.html")
        assert messages == []
        return found

    return opened


@pytest.fixture
def whole():
    """A page with all that pages have: links, a wide table, and items that changed."""
    wide = table([("One", [(SENTENCE, "1.0"), *FIRST])], [Entry("a long value that is not wrapped")] * 12)
    items = [
        Item("Is 1 < 2?", answers("yes", "no"), 1, "Sums", lost=["a"]),
        Item(f"Is {SENTENCE}?", answers(SENTENCE, "c" * 90), 1, "Words", gained=["a", "b"]),
    ]
    links = [Link("Overview", "index.html"), Link("Law", "law.html")]
    body = f"<h1>Law</h1>\n{table_section(wide)}<h2>Items</h2>\n{explorer(items, ['a', 'b'])}"
    return document("Law", "A label", body, links, "law.html")


def answers(right, *others):
    rows = [[Entry(arm), Entry(answer, prose=True)] for arm, answer in zip("ab", others, strict=False)]
    return [Block("", [[Entry("right answer"), Entry(right, prose=True)]]), Block("Model", rows)]


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
def test_a_click_sorts_rows_within_their_block(text, clicks, expected, opened):
    click = "".join(f"document.querySelectorAll('thead button')[{column}].click();" for column in clicks)
    found = opened(text, click)
    assert order(found) == expected
    assert found.count("aria-sort=") - text.count("aria-sort=") == (len(clicks) > 0 and clicks != [1, 1, 1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "shown", "said"), [("", "bacdzy", ""), ("A z", "az", "2 of 6 rows"), ("q", "", "0 of 6 rows")]
)
def test_a_field_leaves_the_rows_of_some_arms(text, typed, shown, said, opened):
    script = f"""
        const field = document.querySelector("input");
        field.value = "{typed}";
        field.dispatchEvent(new Event("input"));
        const rows = [...document.querySelectorAll("tbody:not([hidden]) tr:not([hidden])")];
        const names = rows.filter(row => row.cells[0].tagName === "TD").map(row => row.cells[0].textContent);
        document.title = names.join("") + "|" + document.querySelector("output").textContent;
    """
    assert f"<title>{shown}|{said}</title>" in opened(text, script)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ({}, "Is 1|Is grads"),
        ({"Benchmark": "Sums"}, "Is 1"),
        ({"Change": "gained"}, "Is grads"),
        ({"Arm": "b"}, "Is grads"),
        ({"Arm": "b", "Change": "lost"}, ""),
        ({"With these words": "NO"}, "Is 1|Is grads"),
        ({"With these words": "1 < 2"}, "Is 1"),
    ],
)
def test_items_are_chosen_by_benchmark_change_arm_and_words(whole, chosen, shown, opened):
    script = f"""
        const chosen = {chosen};
        for (const label of document.querySelectorAll(".explorer .controls label")) {{
          const field = label.querySelector("select, input");
          field.value = chosen[label.firstChild.textContent] ?? "";
          field.dispatchEvent(new Event("input"));
        }}
        const items = [...document.querySelectorAll(".item:not([hidden])")];
        const asked = items.map(item => item.querySelector("summary").textContent.split(": ")[1]);
        document.title = asked.map(text => text.split("@")[0].split(" <")[0]).join("|");
    """
    assert f"<title>{shown}</title>" in opened(whole, script)


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_a_page_is_never_scrolled_sideways(whole, width, opened):
    """A browser's window has a least width, a frame in it has none."""
    frame = f'<iframe width="{width}" height="600" srcdoc="{html.escape(whole)}"></iframe>'
    script = """
        const page = document.querySelector("iframe").contentDocument;
        for (const item of page.querySelectorAll("details")) item.open = true;
        const root = page.documentElement;
        document.title = [root.clientWidth, root.scrollWidth, page.querySelector(".wide").scrollWidth].join(" ");
    """
    found = opened(f"<!doctype html><title></title><body>{frame}</body>", f"onload = () => {{ {script} }};")
    client, scrolled, of_table = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", found).groups())
    assert scrolled <= client <= width
    assert of_table > client or width == 1440


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install axe-core")
@pytest.mark.parametrize("kind", ["table", "whole"])
def test_axe_finds_nothing(text, whole, kind, opened):
    script = """
        for (const item of document.querySelectorAll("details")) item.open = true;
        axe.run().then(found => {
          document.title = JSON.stringify(found.violations.map(one => [one.id, one.nodes.map(node => node.html)]));
        });
    """
    found = opened({"table": text, "whole": whole}[kind], f"{AXE.read_text(encoding='utf-8')}</script><script>{script}")
    assert html.unescape(re.search(r"<title>(.*?)</title>", found, re.DOTALL)[1]) == "[]"


def test_a_page_needs_no_other_file(whole):
    assert not re.findall(r'(?:src|href)="(?!#|law\.html|index\.html)[^"]*"', whole)
    assert not re.findall(r"https?://", whole)
    assert whole.count("<h1") == 1
    assert 'href="law.html" aria-current="page"' in whole
