"""Benchmarks by name, run: lm-eval's own program on the same items gives the same, whatever the kind of task."""

import importlib.metadata
import json
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lm_eval.tasks
import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from grads.data.sources.named_tasks import TASKS, load_harness, sample_harness
from grads.evaluation.benchmarks import TaskSpec, load_tasks
from grads.runtime.errors import GradsError
from grads.runtime.files import write_json, write_jsonl

SHIPPED = Path(lm_eval.tasks.__file__).parent
SEED = 7
SUMS = [{"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"} for n in range(16)]
WORDS = [{"text": f"the first of {n} words is not the last one word{n % 3}"} for n in range(9)]
CHOICES = {"text": ["a stone", "a cloud", "a tree"], "label": ["A", "B", "C"]}
ARC = [{"question": f"Which one, of {n}?", "choices": CHOICES, "answerKey": "ABC"[n % 3]} for n in range(9)]
WINOGRANDE = [
    {
        "sentence": f"The {n} cats saw dogs, so _ ran.",
        "option1": "cats",
        "option2": "the dogs",
        "answer": str(1 + n % 2),
    }
    for n in range(8)
]
CODE = [
    {"prompt": f"def add{n}(a):\n", "test": "def check(f): assert f(1)", "entry_point": f"add{n}", "task_id": str(n)}
    for n in range(2)
]
# lm-eval's name, its files, the splits of its data, the metric.
KINDS = {
    "gsm8k": (["gsm8k/gsm8k.yaml"], {"train": SUMS[:5], "test": SUMS[5:]}, "exact_match,flexible-extract"),
    "lambada_openai": (["lambada/lambada_openai.yaml"], {"test": WORDS}, "acc"),
    "ai2_arc": (
        ["arc/arc_easy.yaml", "arc/arc_challenge.yaml"], {"train": ARC[:3], "validation": ARC, "test": ARC}, "acc_norm",
    ),
    "humaneval": (["humaneval/humaneval.yaml"], {"test": CODE}, "pass@1,create_test"),
    "winogrande": (["winogrande/default.yaml"], {"train": WINOGRANDE, "validation": WINOGRANDE}, "acc"),
}  # fmt: skip


@pytest.fixture
def benchmark(tmp_path):
    """Return a maker of fetched benchmarks: folder, sample and lm-eval's own task files over the same data."""
    import datasets

    def make(name, number, few_shot):
        files, splits, _ = KINDS[name]
        folder, paths, tasks = tmp_path / name, [], []
        for split, rows in splits.items():
            (folder / "0").mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list(rows).to_parquet(folder / "0" / f"{split}.parquet")
            write_jsonl(folder / f"{split}.jsonl", rows)
        for yaml in files:
            task = Path(yaml).stem if Path(yaml).stem != "default" else name
            tasks.append({"task": task, "yaml": yaml, "overrides": {}, "data": "0"})
            own = {"include": str(SHIPPED / yaml), "task": task, "dataset_path": "json", "dataset_name": None}
            own["dataset_kwargs"] = {"data_files": {split: str(folder / f"{split}.jsonl") for split in splits}}
            own |= {} if few_shot is None else {"num_fewshot": few_shot}
            paths.append(tmp_path / f"{task}.yaml")
            paths[-1].write_text(json.dumps(own))
        version = importlib.metadata.version("lm-eval")
        described = {"name": name, "lm_eval": version, "unsafe": name == "humaneval", "commits": {}}
        write_json(folder / TASKS, described | {"tasks": tasks})
        rows, _ = sample_harness(load_harness(folder, few_shot, True), number, 0, name)
        write_jsonl(tmp_path / f"{name}-sample.jsonl", rows)
        return folder, tmp_path / f"{name}-sample.jsonl", rows, paths

    return make


@pytest.mark.parametrize(
    ("name", "number", "few_shot", "form"),
    [
        ("gsm8k", 6, 2, "plain"),
        ("gsm8k", None, 0, "chat"),
        ("gsm8k", 4, 2, "chat"),
        ("ai2_arc", 9, 2, "chat"),
        ("lambada_openai", 5, None, "plain"),
        ("ai2_arc", 9, 2, "plain"),
        ("winogrande", 5, None, "plain"),
    ],
)
def test_it_is_what_lm_eval_finds(model, tokenizer, benchmark, name, number, few_shot, form, asked):
    model.config.max_position_embeddings = 2048
    folder, sample, rows, paths = benchmark(name, number, few_shot)
    spec = TaskSpec(folder, form, KINDS[name][2], sample, few_shot, SEED)
    with load_tasks({name: spec}) as tasks:
        found = asked(model, tokenizer, tasks, 4, "tiny")[name]
    chosen: dict[str, list[int]] = {}
    for row in rows:
        chosen.setdefault(row["task"], []).append(row["doc_id"])
    own = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, softmax_dtype="float32")
    expected = simple_evaluate(
        own, tasks=[str(path) for path in paths], samples=chosen, bootstrap_iters=0, fewshot_random_seed=SEED,
        apply_chat_template=form == "chat", task_manager=TaskManager(include_defaults=False),
    )  # fmt: skip
    metric = spec.metric if "," in spec.metric else f"{spec.metric},none"
    sizes = {task: len(ids) for task, ids in chosen.items()}
    values = {task: expected["results"][task][metric] for task in chosen}
    assert found["value"] == pytest.approx(sum(values[task] * size for task, size in sizes.items()) / found["n"])
    assert found["n"] == len(rows)
    for item in found["items"]:
        task = item.get("task", rows[0]["task"])
        (there,) = (
            one for one in expected["samples"][task]
            if one["doc_id"] == item["doc_id"] and one["filter"] == metric.partition(",")[2]
        )  # fmt: skip
        assert item["correct"] == float(there[metric.partition(",")[0]])
        if name == "gsm8k":
            assert item["response"] == there["filtered_resps"][0]
            assert [item.get("written", item["response"])] == there["resps"][0]
            assert "gold_logprob" not in item
        else:
            assert item["gold_logprob"] in [pytest.approx(one[0], rel=1e-5) for one in there["filtered_resps"]]
    assert {(row["task"], row["doc_id"]) for row in rows} == {
        (item.get("task", rows[0]["task"]), item["doc_id"]) for item in found["items"]
    }
    assert found["shots"] == (0 if few_shot is None else few_shot)
    assert found["seed"] == SEED


# The harness loads its scorer once in a process, so only one engine can be watched.
@pytest.mark.parametrize("kind", ["fast"])
def test_generated_code_is_scored_where_it_may_run(model, tokenizer, benchmark, monkeypatch, asked):
    """By `code_eval`, which `evaluate` takes from the hub: here a stand-in that counts answers and runs nothing."""
    import evaluate

    seen = []

    def compute(references, predictions, k):
        assert os.environ["HF_ALLOW_CODE_EVAL"] == "1"
        seen.append((references, predictions))
        return {"pass@1": float(len(seen) % 2)}, {}

    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    monkeypatch.setattr(evaluate, "load", lambda name: SimpleNamespace(compute=compute))
    model.config.max_position_embeddings = 2048
    folder, sample, _, _ = benchmark("humaneval", None, None)
    refused = TaskSpec(folder, "plain", "pass@1,create_test", sample)
    with pytest.raises(GradsError, match=r"'general.allow_code: true'"), load_tasks({"humaneval": refused}):
        pass
    seen.clear()
    with load_tasks({"humaneval": replace(refused, allow_code=True)}) as tasks:
        # The scorer tries itself once, when the task is read.
        seen.clear()
        found = asked(model, tokenizer, tasks, 4, "tiny")["humaneval"]
    assert [reference for reference, _ in seen] == [[row["test"] + f"\ncheck({row['entry_point']})"] for row in CODE]
    assert all(answers[0][0].startswith(row["prompt"]) for (_, answers), row in zip(seen, CODE, strict=True))
    assert [item["correct"] for item in found["items"]] == [1, 0]
    assert found["value"] == 0.5


def test_every_model_gets_the_same_examples(model, tokenizer, benchmark, asked):
    folder, sample, _, _ = benchmark("ai2_arc", 6, 2)
    spec = TaskSpec(folder, "plain", "acc", sample, 2, SEED)
    with load_tasks({"arc": spec}) as tasks:
        first, second = (asked(model, tokenizer, tasks, 4, "tiny")["arc"] for _ in range(2))
    assert first == second
    with load_tasks({"arc": TaskSpec(folder, "plain", "acc", sample, 2, SEED + 1)}) as tasks:
        assert asked(model, tokenizer, tasks, 4, "tiny")["arc"]["hash"] != first["hash"]


def test_the_right_choice_of_contexts_is_found(model, tokenizer, benchmark, asked):
    """In winogrande the sentences differ in front, and what is scored is what follows the blank."""
    folder, sample, rows, _ = benchmark("winogrande", None, None)
    with load_tasks({"w": TaskSpec(folder, "plain", "acc", sample)}) as tasks:
        items = asked(model, tokenizer, tasks, 4, "tiny")["w"]["items"]
    assert len(items) == len(rows) == 8
    for item in items:
        assert item["gold_logprob"] == item["choice_logprobs"][item["doc_id"] % 2]


@pytest.mark.parametrize(
    ("name", "metric", "message"),
    [
        ("gsm8k", "exact_match", "has exact_match,flexible-extract, exact_match,strict-match; choose one"),
        ("lambada_openai", "perplexity", "is no mean over items of 'lambada_openai'"),
    ],
)
def test_metrics_that_cannot_be_had_are_refused(model, tokenizer, benchmark, name, metric, message, asked):
    model.config.max_position_embeddings = 2048
    folder, sample, _, _ = benchmark(name, 3, 0 if name == "gsm8k" else None)
    with (
        load_tasks({name: TaskSpec(folder, "plain", metric, sample, 0)}) as tasks,
        pytest.raises(GradsError, match=message),
    ):
        asked(model, tokenizer, tasks, 4, "tiny")


@pytest.fixture
def sums(benchmark):
    """A context in which gsm8k is loaded, its answers limited as a task file says."""

    @contextmanager
    def loaded(**limit):
        folder, sample, _, _ = benchmark("gsm8k", 3, 0)
        with load_tasks({"gsm8k": TaskSpec(folder, "plain", "exact_match,strict-match", sample)}) as tasks:
            (definition,) = tasks["gsm8k"].loaded["tasks"].values()
            definition.config.generation_kwargs |= limit
            yield tasks, definition

    return loaded


def test_answers_need_room(model, tokenizer, sums, asked):
    model.config.max_position_embeddings = 200
    sentence = "answers may have 256 tokens, but the model has room for 200"
    with sums() as (tasks, _), pytest.raises(GradsError, match=sentence):
        asked(model, tokenizer, tasks, 4, "tiny")


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"])
def test_the_limit_of_answers_counts_by_any_of_its_names(model, tokenizer, sums, name, asked):
    model.config.max_position_embeddings = 2048
    with sums(**{name: 3}, do_sample=True, temperature=0.7, top_p=0.5) as (tasks, definition):
        until = definition.config.generation_kwargs["until"]
        asked(model, tokenizer, tasks, 4, "tiny")
        settled = {"until": until, "max_gen_toks": 3, "do_sample": False, "temperature": 0.0}
        assert definition.config.generation_kwargs == settled
    model.config.max_position_embeddings = 200
    with sums(**{name: 250}) as (tasks, _), pytest.raises(GradsError, match="answers may have 250 tokens"):
        asked(model, tokenizer, tasks, 4, "tiny")
