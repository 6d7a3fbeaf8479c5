"""Sources of every kind through the workflow's own jobs, with the network off."""

import csv
import json

import pyarrow.parquet as pq
import pytest

HASH = "0123456789abcdef0123456789abcdef01234567"
CONFIG = """
study: sources
models:
  hub: {title: Hub, source: {kind: hub, id: owner/tiny, revision: main}}
domains:
  exam:
    title: Exam
    source: {kind: hub, id: owner/exam, revision: main, split: train}
    fields: {instruction: question, output: answer}
  chat: {title: Chat, source: {kind: file, path: chat.csv}}
splits: {validation: 2, test: 4}
overlap: remove
"""


def place(cache, repository, files):
    """Put a repository into a cache in the hub's layout."""
    root = cache / repository
    for name, content in files.items():
        path = root / "snapshots" / HASH / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(HASH)


@pytest.fixture
def workspace(make_workspace, tiny_model_folder):
    workspace = make_workspace()
    cache = workspace.folder / "cache"
    place(cache, "models--owner--tiny", {path.name: path.read_bytes() for path in tiny_model_folder.iterdir()})
    rows = [{"question": f"Exam question {n}?", "answer": f"exam answer {n}"} for n in range(12)]
    place(cache, "datasets--owner--exam", {"data/train.jsonl": "\n".join(map(json.dumps, rows)).encode()})
    workspace.environment |= {"HF_HUB_CACHE": str(cache)}
    with (workspace.folder / "chat.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows([["prompt", "completion"], *([f"Chat question {n}?", f"chat {n}"] for n in range(12))])
    smoke = (workspace.folder / "config/smoke.yaml").read_text()
    kept = smoke[smoke.index("archives:") : smoke.index("models:")] + smoke[smoke.index("arms:") :]
    (workspace.folder / "mine.yaml").write_text(f"{CONFIG}\nlabel: test\nseeds: [0]\n{kept}")
    return workspace


@pytest.mark.slow
def test_hub_and_files_are_prepared(workspace):
    results = "results/sources"
    targets = [f"{results}/models/hub", f"{results}/data/overlap.json"]
    workspace.snakemake(*targets, "--configfile", "mine.yaml")
    assert json.loads((workspace.folder / results / "models/hub/commit.json").read_text())["commit"] == HASH
    for domain in ("exam", "chat"):
        table = pq.read_table(workspace.folder / results / "data" / domain / "test.parquet")
        assert table.num_rows == 4
        assert all(text.startswith(domain.capitalize()) for text in table["instruction"].to_pylist())
    report = json.loads((workspace.folder / results / "data/overlap.json").read_text())
    assert {"exam/train", "chat/validation", "exam/test"} <= {pair["of"] for pair in report["pairs"]}
    assert workspace.planned("--cores", "1", *targets, "--configfile", "mine.yaml") == {}


@pytest.mark.slow
def test_a_repository_that_is_not_there_is_one_sentence(workspace):
    mine = workspace.folder / "mine.yaml"
    mine.write_text(mine.read_text().replace("owner/tiny, revision: main", "owner/tiny, revision: v9"))
    output = workspace.snakemake("results/sources/models/hub", "--configfile", "mine.yaml", fails=True)
    assert "error: model owner/tiny at v9 is not in the hub's cache" in output
    assert "Traceback" not in output
