"""What other packages that are installed add is planned and made by the workflow as its own is."""

import os
import re
from pathlib import Path

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


def test_sources_of_kinds_of_another_package_are_fetched_and_prepared(make_workspace, tmp_path, tiny_model_folder):
    page = (Path(__file__).parents[2] / "docs/adding-a-source.md").read_text(encoding="utf-8")
    pairs, share = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    points = {"grads.sources": {"pairs": "acme.pairs"}, "grads.model_sources": {"share": "acme.share"}}
    files = {"acme/__init__.py": "", "acme/pairs.py": pairs, "acme/share.py": share}
    install(make_wheel(tmp_path, "acme", files, points), tmp_path / "site")
    copy = make_workspace()
    (copy.folder / "resources").unlink()
    (copy.folder / "resources").mkdir()
    copy.environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")
    copy.environment["SHARE"] = str(tiny_model_folder.parent)
    config = yaml.safe_load((copy.folder / "config/smoke.yaml").read_text())
    config["domains"] = {"notes": {"title": "Notes", "source": {"kind": "text_pairs", "folder": "notes"}}}
    config["models"] = {"shared": {"title": "Shared", "source": {"kind": "share", "name": tiny_model_folder.name}}}
    config["evaluation"] |= {"wordnet": None, "metrics": ["bleu"]}
    del config["claims"], config["archives"]
    (copy.folder / "mine.yaml").write_text(yaml.safe_dump(config))
    (copy.folder / "notes").mkdir()
    for number in range(40):
        text = f"What is note {number * 7919}?\n---\nIt says {number * 6271}.\n"
        (copy.folder / f"notes/{number}.txt").write_text(text)
    targets = ["results/smoke/models/shared", "results/smoke/data/notes/counts.json", "--configfile", "mine.yaml"]
    copy.snakemake(*targets)
    (fetched,) = (copy.folder / "resources/share/models").glob(f"{tiny_model_folder.name}-*/config.json")
    assert (copy.folder / "results/smoke/models/shared/config.json").read_bytes() == fetched.read_bytes()
    assert copy.planned("--cores", "1", *targets) == {}
    # What a kind reads is known by its content, and its code counts for what reads it; what is fetched stays.
    (copy.folder / "notes/7.txt").write_text("What is note 7?\n---\nIt says 7.\n")
    assert copy.planned("--cores", "1", *targets) == {"prepare_domains": 1}
    install(make_wheel(tmp_path, "acme", files | {"acme/share.py": share + "\nX = 1\n"}, points), tmp_path / "site")
    assert copy.planned("--cores", "1", *targets) == {"prepare_domains": 1, "prepare_model": 1}


def test_a_broken_table_of_another_package_is_one_sentence(workspace):
    copy, add = workspace
    add("import acme_nothing\n")
    printed = copy.snakemake("-n", "--configfile", "mine.yaml", fails=True)
    assert "entry point 'rows' of 'grads.tables' in acme 1.0 cannot be loaded" in printed
    assert "Traceback" not in printed
