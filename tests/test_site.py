"""The site's navigation, and what Sphinx is given to read, without Sphinx."""

import importlib.util
import re
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("site_conf", Path("site/conf.py"))
conf = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(conf)


def test_the_navigation_has_every_page_of_the_index_in_its_order():
    index = Path("docs/index.md").read_text(encoding="utf-8")
    trees = conf.navigation(index)
    listed = re.findall(r"^[^`:\n].*$", trees, re.MULTILINE)
    linked = re.findall(r"^- \[.*?\]\(([^)]+)\.md\)", index, re.MULTILINE)
    assert [re.sub(r".*<(.*)>", r"\1", entry) for entry in listed] == linked
    assert re.findall(r":caption: (.*)", trees) == re.findall(r"^## (.*)$", index, re.MULTILINE)


def test_a_line_that_begins_with_a_percent_sign_is_no_comment():
    source = ["95\n% of the records\n```text\n% as it is\n```\n"]
    conf.prepare(None, "docs/figures", source)
    assert source == ["95\n\\% of the records\n```text\n% as it is\n```\n"]
