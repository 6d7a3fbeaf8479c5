"""The README: its length, its table of methods; and what docs/demonstration.md shows is what is kept of the run."""

import csv
from pathlib import Path

from grads.selection.documentation import GROUPS, readme
from grads.selection.registry import REGISTRY

README = Path("README.md")
REFERENCE = Path("results/reference/demo-large")


def test_the_main_table_is_that_of_the_run():
    table = (REFERENCE / "main.txt").read_text(encoding="utf-8")
    assert table in Path("docs/demonstration.md").read_text(encoding="utf-8")


def test_the_main_table_agrees_with_the_tables_in_full_precision():
    with (REFERENCE / "domain.csv").open(encoding="utf-8") as handle:
        rows = {(row["domain"], _title(row), row["metric"]): float(row["value"]) for row in csv.DictReader(handle)}
    lines = (REFERENCE / "main.txt").read_text(encoding="utf-8").splitlines()[3:]
    assert len(lines) == 10
    for line in lines:
        arm, *numbers = line.split()
        for index, domain in enumerate(("medicine", "law", "finance")):
            assert f"{rows[domain, arm, 'bleu']:.2f}" == numbers[2 * index]
            assert f"{rows[domain, arm, 'meteor']:.3f}" == numbers[2 * index + 1]


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= 1000


def test_the_table_of_methods_is_that_of_the_registry():
    page = README.read_text(encoding="utf-8")
    assert readme(page) == page, "run `make docs`"


def test_every_method_is_in_one_group_of_the_table():
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(REGISTRY.own())


def _title(row):
    return row["arm"] if row["arm"] in ("untuned", "full") else f"{row['arm']}@{row['ratio']}"
