"""A benchmark that lm-eval knows by name, through the workflow's own jobs, with the network off."""

import json

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
HASH = "0123456789abcdef0123456789abcdef01234567"
ARC = """---
configs:
- config_name: ARC-Easy
  data_files:
  - {split: train, path: train.jsonl}
  - {split: validation, path: train.jsonl}
  - {split: test, path: test.jsonl}
---
"""


def place(cache):
    """Put synthetic items of ARC into a cache in the hub's layout."""
    root = cache / "datasets--allenai--ai2_arc"
    snapshot = root / "snapshots" / HASH
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(HASH)
    (snapshot / "README.md").write_text(ARC)
    choices = {"text": ["a stone", "a cloud", "a tree"], "label": ["A", "B", "C"]}
    for split in ("train", "test"):
        rows = [{"question": f"{split} {n}: which grows?", "choices": choices, "answerKey": "C"} for n in range(20)]
        (snapshot / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def workspace(make_workspace):
    workspace = make_workspace()
    place(workspace.folder / "cache")
    # Synthetic items must not come to lie among the developer's own downloads.
    shared = (workspace.folder / "resources").resolve()
    (workspace.folder / "resources").unlink()
    (workspace.folder / "resources").mkdir()
    for path in shared.iterdir():
        if path.name != "hub":
            (workspace.folder / "resources" / path.name).symlink_to(path)
    workspace.environment |= {"HF_HUB_CACHE": str(workspace.folder / "cache")}
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    config |= {"study": "named", "arms": {name: config["arms"][name] for name in ("untuned", "random")}}
    del config["domains"]["plurals"]
    data = {"kind": "harness", "name": "arc_easy"}
    arc = {"title": "ARC easy", "data": data, "metric": "acc_norm", "few_shot": 1, "sample": 6, "chance": 0.33}
    config["general"]["tasks"]["arc"] = arc
    workspace.config = config
    return workspace


def read_items(results):
    general = json.loads((results / "runs/tiny/sums/random/0.5/0/general.json").read_text())
    return general["tasks"]["arc"]["items"]


def written(workspace):
    (workspace.folder / "named.yaml").write_text(yaml.safe_dump(workspace.config))
    return ("--configfile", "named.yaml")


def test_a_named_benchmark_is_fetched_sampled_and_measured(workspace):
    workspace.snakemake("results/named/measurements.parquet", "results/named/data/overlap.json", *written(workspace))
    results = workspace.folder / "results/named"
    sample = [json.loads(line) for line in (results / "general/arc.jsonl").read_text().splitlines()]
    assert len(sample) == 6
    assert all(row["question"].startswith("Question: test ") and row["answer"] == "a tree" for row in sample)
    overlap = json.loads((results / "data/overlap.json").read_text())
    assert "general/arc" in {pair["against"] for pair in overlap["pairs"]}
    frame = pd.read_parquet(results / "measurements.parquet")
    arc = frame[frame["task"] == "arc"]
    changed = {"right_to_wrong", "wrong_to_right", "right_to_wrong_less_chance", "wrong_to_right_less_chance"}
    chosen = {"acc_norm", "gold_logprob", "gold_logprob_among_choices", "brier"}
    assert set(arc["metric"]) == chosen | changed
    # Lengths by which acc_norm compares the choices.
    assert all(item["choice_lengths"] == [7, 7, 6] for item in read_items(results))
    assert (arc["n"] == 6).all()
    # Both models were asked the same, examples included.
    assert arc["signature"].nunique() == 1
    general = json.loads((results / "runs/tiny/sums/random/0.5/0/general.json").read_text())["tasks"]["arc"]
    assert (general["shots"], general["version"]) == (1, "1.0")
    documents = results / "runs/tiny/sums/random/0.5/0/general-documents.jsonl"
    rows = [json.loads(line) for line in documents.read_text().splitlines()]
    mine = [row for row in rows if row["benchmark"] == "arc"]
    assert [row["doc_id"] for row in mine] == [row["doc_id"] for row in sample]
    assert all(row["gold_logprob"] == row["choice_logprobs"][2] for row in mine)
    fetched = next((workspace.folder / "resources/hub/tasks").glob("arc_easy-*/tasks.json"))
    assert json.loads(fetched.read_text())["commits"] == {"allenai/ai2_arc": HASH}
    assert workspace.planned(*written(workspace), "--", "results/named/measurements.parquet") == {}
    # Whether code may run is asked where it would; nothing is fetched or drawn again for it.
    workspace.config["general"]["allow_code"] = True
    planned = workspace.planned(*written(workspace), "--", "results/named/measurements.parquet")
    assert "evaluate" in planned
    assert not {"prefetch_task", "prepare_general"} & set(planned)


def test_generated_code_is_refused_before_anything_else_runs(workspace):
    task = {"title": "HumanEval", "data": {"kind": "harness", "name": "humaneval"}, "metric": "pass@1,create_test"}
    workspace.config["general"]["tasks"] = {"humaneval": task | {"chance": 0.0}}
    target = "results/named/general/counts.json"
    said = workspace.snakemake(target, *written(workspace), fails=True)
    assert "error: benchmark 'humaneval' runs the Python code that the model writes" in said
    assert "'general.allow_code: true'" in said
    assert "Traceback" not in said
