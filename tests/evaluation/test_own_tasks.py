"""Benchmarks of one's own, of every kind that lm-eval has: from items and a task file to accuracies by item."""

import json

import pytest
import yaml

from grads.config.yaml_file import read_yaml
from grads.data.prepare import prepare_general
from grads.evaluation.benchmarks import TaskSpec, load_tasks
from grads.graph.needs import check_study
from grads.study.reading import parse_study

KINDS = {
    "multiple_choice": (
        [{"question": f"Which is {n}?", "choices": [f"thing {n}", f"other {n}"], "gold": n % 2} for n in range(6)],
        {"doc_to_text": "question", "doc_to_choice": "choices", "doc_to_target": "gold"},
        "acc",
    ),
    "loglikelihood": (
        [{"context": f"The cat of {n} sat on the", "continuation": f"mat {n}"} for n in range(6)],
        {"doc_to_text": "context", "doc_to_target": " {{continuation}}"},
        "acc",
    ),
    "generate_until": (
        [{"problem": f"{n} + 1?", "solution": str(n + 1)} for n in range(6)],
        {"doc_to_text": "Q: {{problem}}\nA:", "doc_to_target": "solution"},
        "exact_match",
    ),
}


@pytest.fixture(params=KINDS)
def prepared(request, tmp_path, monkeypatch):
    """A study with one task of the kind, checked and with its items drawn; the task as it is run."""
    monkeypatch.chdir(tmp_path)
    items, parts, metric = KINDS[request.param]
    task = {
        "task": "mine",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "DATA"}},
        "test_split": "test",
        "output_type": request.param,
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}],
        **parts,
    }
    if request.param == "generate_until":
        task["generation_kwargs"] = {"until": ["\n"], "max_gen_toks": 8}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": f"Some text, {n}."}) + "\n" for n in range(4)))
    (tmp_path / "data.jsonl").write_text('{"instruction": "Q", "output": "A"}\n')
    config = {
        "study": "own",
        "label": "own tasks",
        "seeds": [0],
        "models": {"tiny": {"title": "Tiny", "source": {"kind": "tiny"}}},
        "domains": {"d": {"title": "D", "source": {"kind": "file", "path": "data.jsonl"}}},
        "splits": {"validation": 1, "test": 1},
        "arms": {"untuned": {"method": "untuned"}},
        "evaluation": {"metrics": ["bleu"]},
        "general": {
            "tasks": {
                "mine": {
                    "title": "Mine",
                    "yaml": "task.yaml",
                    "data": {"kind": "file", "path": "items.jsonl"},
                    "metric": metric,
                    "sample": 4,
                    "chance": 0.0,
                }
            },
            "text": {"source": {"kind": "file", "path": "text.jsonl"}, "sample": 2},
        },
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    study = parse_study(read_yaml("own.yaml"))
    check_study(study)
    prepare_general(study.general, {}, tmp_path / "general")
    return request.param, TaskSpec(tmp_path / "general" / "mine.yaml", "plain", metric)


def test_a_task_of_every_kind_is_asked_item_by_item(model, tokenizer, prepared, asked):
    kind, spec = prepared
    with load_tasks({"mine": spec}) as tasks:
        found = asked(model, tokenizer, tasks, 4, "tiny")["mine"]
    assert found["n"] == 4
    assert all(0 <= item["correct"] <= 1 for item in found["items"])
    assert ("gold_logprob" in found) == (kind != "generate_until")
    assert all(("response" in item) == (kind == "generate_until") for item in found["items"])
