"""The pages that are made from what is counted are those that are committed."""

from pathlib import Path

import pytest

from grads.graph.documentation import CLUSTERS, HEADING, PLANS, clusters, plans

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder without results and downloads: nothing is prepared there, nothing is done."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_plans_of_the_paper_configs_are_those_of_the_code(elsewhere):
    assert plans() == (ROOT / PLANS).read_text("utf-8"), "run `make plans`"


def test_what_fits_where_is_what_the_arithmetic_says():
    page = (ROOT / CLUSTERS).read_text("utf-8")
    assert clusters(page) == page, "run `make plans`"


def test_the_table_is_about_what_is_known_of_a_7b_model():
    """LoRA of 7B in bf16 wants more than 24 GB at 1,024 tokens but for Llama's small vocabulary; all weights, 16 bytes
    each and more, no GPU below 141 GB.
    """
    page = (ROOT / CLUSTERS).read_text("utf-8").partition(HEADING)[2]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    head = rows[0]
    table = {tuple(row[:3]): dict(zip(head[3:], row[3:], strict=True)) for row in rows[2:]}
    qwen = table["Qwen2.5-7B (7.62 B)", "lora", "1024"]
    assert (qwen["24 GB"], qwen["192 GB"]) == ("-", "8")
    full = table["Qwen2.5-7B (7.62 B)", "full", "1024"]
    assert full["80 GB"] == full["94 GB"] == "-"
    assert int(full["192 GB"]) >= 1
    for row in table.values():
        fitting = [0 if cell == "-" else int(cell) for cell in row.values()]
        assert fitting == sorted(fitting)
