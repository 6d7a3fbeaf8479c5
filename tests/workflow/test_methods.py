"""Every registered method selects from real signals through the workflow, up to the tables of what was selected."""

import json

import pandas as pd
import pytest
import yaml

from grads.selection.registry import methods

pytestmark = pytest.mark.slow

# What a method without defaults of its own is given here.
GIVEN = {"metadata": {"field": "grade"}, "subset": {"file": "mine.jsonl"}}
RATIO = "0.5"


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    lines = (workspace.folder / "config/smoke/sums.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"grade": number} for number, line in enumerate(lines)]
    (workspace.folder / "graded.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (workspace.folder / "mine.jsonl").write_text("\n".join(lines[3:20]))
    source = {"kind": "file", "path": "graded.jsonl"}
    config["domains"] = {"sums": {"title": "Sums", "metadata": ["grade"], "source": source}}
    config["probe"] |= {"trajectory": {"checkpoints": 3, "epochs": 1}}
    skipping = {"subset": {"unknown": "skip"}}
    arms = {name: {"method": name, "parameters": GIVEN.get(name, {}) | skipping.get(name, {})} for name in methods()}
    for name, method in methods().items():
        arms[name] |= {} if method.fixed_ratio else {"ratios": [RATIO]}
    config |= {"study": "methods", "arms": arms, "claims": []}
    (workspace.folder / "methods.yaml").write_text(yaml.safe_dump(config))
    workspace.results = workspace.folder / "results" / "methods"
    tables = [workspace.results / "tables" / f"{name}.csv" for name in ("overlap", "subsets", "extremes")]
    workspace.snakemake(*(path.relative_to(workspace.folder) for path in tables), "--configfile", "methods.yaml")
    return workspace


@pytest.mark.parametrize("name", [name for name, method in methods().items() if method.trains])
def test_a_method_selects_what_was_asked(name, finished):
    ratio = methods()[name].fixed_ratio or RATIO
    path = finished.results / f"selections/tiny/sums/{name}/{ratio}/0.parquet"
    table, meta = pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())
    assert meta["method"] == name
    assert table["kept"].sum() == (meta["eligible"] if methods()[name].equal_steps else meta["actual"])
    assert 1 <= meta["actual"] <= meta["eligible"]
    if not (methods()[name].may_fall_short or methods()[name].equal_steps):
        assert meta["actual"] == meta["requested"]
    assert table["weight"].sum() == pytest.approx(table["kept"].sum())


def test_all_pairs_are_compared(finished):
    compared = pd.read_csv(finished.results / "tables" / "overlap.csv")
    chosen = {name for name, method in methods().items() if method.trains and not method.equal_steps and name != "full"}
    assert {*compared["arm"], *compared["other"]} == chosen
    assert len(compared) == len(chosen) * (len(chosen) - 1) / 2
