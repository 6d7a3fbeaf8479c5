"""Tables and figures of other packages that are installed are made by the workflow as its own are."""

import os

import pytest
import yaml

from tests.wheels import install, make_wheel

pytestmark = pytest.mark.slow

TABLE = """
from grads.report.contract import MeasuredTable


def build(study, estimates):
    from acme.rows import table

    return table(study, estimates)


TABLE = MeasuredTable(name="acme_rows", title="Rows", build=build, caption="Rows.")
"""
METHOD = """
from grads.selection.contract import Choice, Method
from acme import scores

METHOD = Method(
    name="acme_long",
    title="Long",
    source="a test",
    select=lambda inputs, _: Choice(inputs.pool["response_tokens"].to_numpy()),
)
"""
POINTS = {"grads.tables": {"rows": "acme.table"}, "grads.methods": {"long": "acme.method"}}


@pytest.fixture
def workspace(make_workspace, tmp_path):
    """A workspace in whose study a method of another package selects, and a function that installs that package."""
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    config["arms"]["long"] = {"method": "acme_long", "ratios": ["0.5"]}
    (workspace.folder / "mine.yaml").write_text(yaml.safe_dump(config))
    workspace.environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")

    def add(table=TABLE):
        files = {"acme/__init__.py": "", "acme/table.py": table, "acme/method.py": METHOD, "acme/scores.py": "k = 1\n"}
        install(make_wheel(tmp_path, "acme", files, POINTS), tmp_path / "site")

    return workspace, add


def test_a_dry_run_plans_what_another_package_adds(workspace):
    copy, add = workspace
    add()
    printed = copy.snakemake("-n", "--configfile", "mine.yaml")
    assert "tables/acme_rows.tex" in printed
    assert "/long/0.5/" in printed


def test_a_broken_table_of_another_package_is_one_sentence(workspace):
    copy, add = workspace
    add("import acme_nothing\n")
    printed = copy.snakemake("-n", "--configfile", "mine.yaml", fails=True)
    assert "entry point 'rows' of 'grads.tables' in acme 1.0 cannot be loaded" in printed
    assert "Traceback" not in printed
