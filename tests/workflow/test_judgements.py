"""A study whose answers are judged between two runs, as docs/metrics.md says."""

import json
import re

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
RUNS = "results/judged/runs/tiny/sums"
CELLS = ("tiny/sums/untuned/0/0", "tiny/sums/random/0.5/0")
TABLES = ("--configfile", "judged.yaml", "--", "results/judged/tables/domain.csv", "results/judged/pages/sums.html")


def recipe(page):
    """Return the Python of the page's section, with the study's name and a judge that likes digits."""
    text = page.read_text(encoding="utf-8").partition("## Judgements of others")[2]
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1].replace("results/mine", "results/judged")
    return "def my_judge(prompt, reference, prediction): return 1 + len(prediction) % 10\n" + code


def test_answers_are_judged_after_a_first_run(make_workspace, monkeypatch, pytestconfig):
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text(encoding="utf-8"))
    arms = {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": ["0.5"]}}
    config |= {"study": "judged", "arms": arms, "claims": [], "domains": {"sums": config["domains"]["sums"]}}
    config["evaluation"] = {"metrics": ["bleu"], "precision": "float32"}
    written = workspace.folder / "judged.yaml"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    workspace.snakemake("--cores", "2", *TABLES)

    monkeypatch.chdir(workspace.folder)
    exec(recipe(pytestconfig.rootpath / "docs/metrics.md"), {})
    verdicts = {"path": "judged.jsonl", "worst": 1, "best": 10, "by": "a counter"}
    config["evaluation"] |= {"metrics": ["bleu", "verdict"], "verdicts": verdicts}
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    # Nothing is computed again but what shows the new column.
    assert workspace.planned(*TABLES) == {"judgements": 1, "measurements": 1, "tables": 1, "pages": 1}
    workspace.snakemake("--cores", "2", *TABLES)
    found = pd.read_csv("results/judged/tables/domain.csv").set_index(["arm", "metric"])
    for cell in CELLS:
        lines = (workspace.folder / "results/judged/runs" / cell / "predictions.jsonl").read_text("utf-8").splitlines()
        expected = [(len(json.loads(line)["prediction"]) % 10) / 9 for line in lines]
        one = found.loc[(cell.split("/")[2], "verdict")]
        assert one["value"] == pytest.approx(sum(expected) / len(expected))
        assert one["low"] < one["value"] < one["high"]
        assert one["signature"].startswith("by:a counter|worst:1|best:10|sha256:")
    assert workspace.planned(*TABLES) == {}

    # Another file of that name, however old it is, is noticed by what it holds; a copy is the same.
    judged = workspace.folder / "judged.jsonl"
    content = judged.read_text(encoding="utf-8")
    judged.write_text(content, encoding="utf-8")
    assert workspace.planned(*TABLES) == {}
    rows = [json.loads(line) for line in content.splitlines()]
    rows[0]["prediction"] += " and more"
    judged.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert set(workspace.planned(*TABLES)) == {"judgements", "measurements", "tables", "pages"}
    said = workspace.snakemake("--cores", "2", *TABLES, fails=True)
    assert "judged.jsonl:1: the prediction is not the answer to" in said
    assert "Traceback" not in said
    rows[0]["verdict"] = "fine"
    judged.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    # Before any job: the first rows are read when the study is.
    assert "judged.jsonl:1: 'verdict' is 'fine', no number" in workspace.snakemake("-n", *TABLES, fails=True)
