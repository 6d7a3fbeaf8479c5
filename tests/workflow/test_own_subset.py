"""Methods that read the user's own file and the records' fields, in the workflow."""

import json

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
SELECTION = "results/own/selections/tiny/sums/{}/0.parquet"


def test_a_changed_file_selects_again_and_fields_are_read(make_workspace):
    workspace = make_workspace()
    content = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text(encoding="utf-8"))
    data = workspace.folder / "config/smoke/sums.jsonl"
    lines = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    data.write_text("".join(json.dumps(row | {"quality": n}) + "\n" for n, row in enumerate(lines)), encoding="utf-8")
    mine = workspace.folder / "mine.jsonl"
    mine.write_text(data.read_text(encoding="utf-8"), encoding="utf-8")
    content["domains"] = {"sums": content["domains"]["sums"] | {"metadata": ["quality"]}}
    given = {"method": "subset", "ratios": ["auto"], "parameters": {"file": "mine.jsonl", "unknown": "skip"}}
    ranked = {"method": "metadata", "ratios": ["0.25"], "parameters": {"field": "quality", "order": "lowest"}}
    content |= {"study": "own", "arms": {"untuned": {"method": "untuned"}, "given": given, "ranked": ranked}}
    (workspace.folder / "own.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    targets = ("--configfile", "own.yaml", "--", SELECTION.format("given/auto"), SELECTION.format("ranked/0.25"))
    workspace.snakemake("--cores", "2", *targets)
    table = pd.read_parquet(workspace.folder / SELECTION.format("given/auto"))
    assert table["kept"].all()
    train = pd.read_parquet(workspace.folder / "results/own/data/sums/train.parquet").set_index("id")
    quality = {row["instruction"]: n for n, row in enumerate(lines)}
    kept = pd.read_parquet(workspace.folder / SELECTION.format("ranked/0.25")).query("kept")["id"]
    lowest = sorted(quality[train["instruction"][id_]] for id_ in table["id"])[: len(kept)]
    assert [quality[train["instruction"][id_]] for id_ in kept] == lowest

    assert workspace.planned(*targets) == {}
    ids = table["id"].tolist()[:5]
    mine.write_text("".join(json.dumps({"id": id_}) + "\n" for id_ in ids), encoding="utf-8")
    assert workspace.planned(*targets) == {"select": 1}
    workspace.snakemake("--cores", "2", *targets)
    again = pd.read_parquet(workspace.folder / SELECTION.format("given/auto"))
    assert again["id"][again["kept"]].tolist() == ids
