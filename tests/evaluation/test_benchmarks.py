import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import lm_eval.utils
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm_eval import evaluate
from lm_eval.api.metrics import brier_score
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from peft import PeftModel

from grads.config import task_file as task_files
from grads.config.jinja import Templates
from grads.data.sources.named_tasks import temporary_cache
from grads.evaluation.benchmarks import TaskSpec, load_tasks, run_tasks
from grads.evaluation.engines.reference import Reference
from grads.models.load import load_model
from grads.report.statistics.choices import BRIER, among_choices, choice_measures
from grads.runtime.errors import GradsError

TASKS = ["piqa", "siqa", "openbookqa", "commonsenseqa"]


def log_probabilities(samples):
    return [[response[0] for response in sample["filtered_resps"]] for sample in samples]


def found_by(kind, found, expected):
    """Whether an engine's numbers are lm-eval's: to the last bit by the plain path, by the other but for rounding."""
    numbers = [item["choice_logprobs"] for item in found["items"]]
    if kind == "reference":
        return numbers == log_probabilities(expected)
    return all(
        one == pytest.approx(other, rel=1e-5) for one, other in zip(numbers, log_probabilities(expected), strict=True)
    )


@pytest.mark.parametrize("kind", ["reference"])
def test_numbers_of_the_plain_path_are_lm_evals_own_to_the_last_bit(
    tiny_model_folder, make_adapter, tokenizer, task_file, asked
):
    tuned = load_model(tiny_model_folder, "bf16", make_adapter(0.3))
    own = HFLM(
        pretrained=tuned.get_base_model(), tokenizer=tokenizer, batch_size=16,
        softmax_dtype="float32", mixed_precision_dtype="bfloat16",
    )  # fmt: skip
    specs = {name: TaskSpec(task_file(name), "chat" if name == "piqa" else "plain", "acc_norm") for name in TASKS}
    with load_tasks(specs) as tasks:
        found = asked(tuned, tokenizer, tasks, 16, "tiny")
        for name, spec in specs.items():
            expected = evaluate(own, tasks[name].loaded, bootstrap_iters=0, apply_chat_template=spec.form == "chat")
            assert found[name]["value"] == expected["results"][f"grads_{name}"]["acc_norm,none"]
            assert found_by("reference", found[name], expected["samples"][f"grads_{name}"])


@pytest.mark.parametrize("kind", ["fast"])
def test_in_float32_numbers_are_lm_evals_own(tiny_model_folder, make_adapter, tokenizer, task_file, asked):
    """Log-probabilities but for rounding, accuracies exactly; items of each task differ in their choices' lengths."""
    tuned = load_model(tiny_model_folder, "float32", make_adapter(0.3))
    own = HFLM(pretrained=tuned.get_base_model(), tokenizer=tokenizer, batch_size=16, softmax_dtype="float32")
    specs = {name: TaskSpec(task_file(name), "chat" if name == "piqa" else "plain", "acc_norm") for name in TASKS}
    with load_tasks(specs) as tasks:
        found = asked(tuned, tokenizer, tasks, 16, "tiny")
        for name, spec in specs.items():
            expected = evaluate(own, tasks[name].loaded, bootstrap_iters=0, apply_chat_template=spec.form == "chat")
            assert found[name]["value"] == expected["results"][f"grads_{name}"]["acc_norm,none"]
            assert found_by("fast", found[name], expected["samples"][f"grads_{name}"])


@pytest.mark.parametrize("kind", ["fast"])
def test_in_bf16_numbers_are_as_near_to_float32_as_the_plain_paths(
    tiny_model_folder, make_adapter, tokenizer, task_file, on
):
    adapter = make_adapter(0.3)
    half = load_model(tiny_model_folder, "bf16", adapter)
    exact = load_model(tiny_model_folder, "float32", adapter)
    # The same weights: rounded to bf16, and then computed with in float32.
    exact.load_state_dict({name: tensor.float() for name, tensor in half.state_dict().items()})
    with load_tasks({"siqa": TaskSpec(task_file("siqa"), "plain", "acc")}) as tasks:

        def numbers(engine):
            items = run_tasks(engine, tokenizer, tasks, "tiny")["siqa"]["items"]
            return np.array([number for item in items for number in item["choice_logprobs"]])

        expected = numbers(Reference(exact, 4096))
        plain = [numbers(Reference(half, 4096, batch)) for batch in (1, 4, 16)]
        with on(half) as engine:
            found = numbers(engine)
    assert abs(found - expected).mean() <= 1.25 * max(abs(one - expected).mean() for one in plain)


def test_log_probabilities_are_the_models(model, tokenizer, task_file, asked):
    path = task_file("siqa")
    with load_tasks({"siqa": TaskSpec(path, "plain", "acc")}) as tasks:
        found = asked(model, tokenizer, tasks, 5, "tiny")["siqa"]
    row = json.loads(path.with_name("items.jsonl").read_text().splitlines()[4])
    prompt = tokenizer(f"Q: {row['passage']} {row['question']}\nA:")["input_ids"]
    expected = []
    for choice in row["choices"]:
        answer = tokenizer(" " + choice, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        expected.append(logits[range(len(answer)), answer].sum().item())
    item = found["items"][4]
    assert item["choice_logprobs"] == pytest.approx(expected, rel=1e-5)
    assert item["gold_logprob"] == item["choice_logprobs"][row["gold"]]
    assert item["correct"] == float(max(expected) == expected[row["gold"]])
    assert item["doc_id"] == 4
    assert found["n"] == 24
    assert found["shots"] == 0
    assert found["gold_logprob"] == pytest.approx(sum(i["gold_logprob"] for i in found["items"]) / 24)


def test_what_the_tables_make_of_choices_is_lm_evals(model, tokenizer, task_file, asked):
    """Its Brier score where choices are compared as they are; its answers, whatever they are compared by."""
    path = task_file("siqa")
    specs = {metric: TaskSpec(path, "plain", metric) for metric in ("acc", "acc_norm")}
    with load_tasks(specs) as tasks:
        found = asked(model, tokenizer, tasks, 16, "tiny")
    items = found["acc"]["items"]
    shares = [lm_eval.utils.softmax(np.array(item["choice_logprobs"])) for item in items]
    expected = brier_score([(item["gold"], share) for item, share in zip(items, shares, strict=True)])
    assert choice_measures(items)[BRIER].mean() == pytest.approx(expected)
    for metric, one in found.items():
        likeliest = among_choices(one["items"]).argmax(axis=1)
        assert [float(a == item["gold"]) for a, item in zip(likeliest, one["items"], strict=True)] == [
            item["correct"] for item in one["items"]
        ], metric


def test_one_token_choices_that_share_a_context(model, tokenizer, task_file, tmp_path, asked, kind):
    text = task_file("piqa").read_text().replace("doc_to_choice: choices", "doc_to_choice: ['A', 'B', 'C']")
    path = tmp_path / "letters.yaml"
    path.write_text(text)
    own = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, softmax_dtype="float32")
    with load_tasks({"letters": TaskSpec(path, "plain", "acc")}) as tasks:
        found = asked(model, tokenizer, tasks, 4, "tiny")["letters"]
        expected = evaluate(own, tasks["letters"].loaded, bootstrap_iters=0)["samples"]["grads_piqa"]
    assert found_by(kind, found, expected)


def test_loaded_tasks_serve_several_models_and_leave_the_home_alone(
    tiny_model_folder, make_adapter, tokenizer, task_file, asked
):
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    with load_tasks({"piqa": TaskSpec(task_file("piqa"), "plain", "acc")}) as tasks:
        assert str(datasets.config.HF_DATASETS_CACHE) != str(before)
        base = load_model(tiny_model_folder, "float32")
        first = asked(base, tokenizer, tasks, 16, "tiny")
        tuned = PeftModel.from_pretrained(base, make_adapter(0.3)).eval()
        assert asked(tuned, tokenizer, tasks, 16, "tiny")["piqa"]["gold_logprob"] != first["piqa"]["gold_logprob"]
        assert asked(tuned.unload(), tokenizer, tasks, 16, "tiny") == first
    assert before == datasets.config.HF_DATASETS_CACHE


SHUFFLE = """
import random

import numpy as np


def process_docs(dataset):
    def shuffled(doc):
        random.shuffle(doc["choices"])
        return doc | {"question": f"{doc['question']} {np.random.random()}"}

    return dataset.map(shuffled)
"""


def test_a_task_that_shuffles_while_it_is_read_is_the_same_in_every_job(task_file):
    """As gpqa does with its choices. It is what lm-eval's own program reads, and the job's state is left alone."""
    path = task_file("piqa")
    path.write_text(path.read_text() + "process_docs: !function shuffle.process_docs\n")
    path.with_name("shuffle.py").write_text(SHUFFLE)

    def docs(task):
        return [(doc["choices"], doc["question"]) for doc in task.eval_docs]

    def read(seed):
        random.seed(seed)
        np.random.seed(seed)
        before = random.getstate(), np.random.get_state()[2]
        with load_tasks({"piqa": TaskSpec(path, "plain", "acc")}) as tasks:
            assert (random.getstate(), np.random.get_state()[2]) == before
            return docs(tasks["piqa"].loaded["tasks"]["grads_piqa"])

    first = read(1)
    assert read(2) == first
    random.seed(0)
    np.random.seed(1234)
    with temporary_cache():
        own = TaskManager(include_defaults=False).load([str(path)])["tasks"]["grads_piqa"]
        assert docs(own) == first


@pytest.mark.parametrize(
    ("old", "new", "metric", "message"),
    [
        (
            "output_type: multiple_choice",
            "output_type: loglikelihood_rolling",
            "acc",
            "supported are multiple_choice, ",
        ),
        ("", "", "f1", r"general\.tasks\.piqa\.metric is 'f1': .*piqa.yaml has acc, acc_norm; choose one"),
        ("", "", "acc,strict", r"general\.tasks\.piqa\.metric is 'acc,strict': .*piqa.yaml has acc, acc_norm"),
        ("task: grads_piqa", "no_task: x", "acc", "lm-eval cannot load this task"),
        ("items.jsonl", "absent.jsonl", "acc", "lm-eval cannot load this task"),
    ],
)
def test_task_files_that_cannot_be_used(model, tokenizer, task_file, old, new, metric, message, asked):
    path = task_file("piqa")
    path.write_text(path.read_text().replace(old, new))
    with (
        pytest.raises(GradsError, match=message),
        load_tasks({"piqa": TaskSpec(path, "plain", metric)}) as tasks,
    ):
        asked(model, tokenizer, tasks, 16, "tiny")


def test_chat_without_a_template_is_refused(model, tiny_model_folder, task_file, asked):
    from grads.models.load import load_tokenizer

    bare = load_tokenizer(tiny_model_folder)
    bare.chat_template = None
    with (
        load_tasks({"piqa": TaskSpec(task_file("piqa"), "chat", "acc")}) as tasks,
        pytest.raises(GradsError, match="set it to 'plain'"),
    ):
        asked(model, bare, tasks, 16, "tiny")


@pytest.mark.slow
def test_lm_evals_command_line_gives_the_same(
    tiny_model_folder, make_adapter, tokenizer, task_file, tmp_path, asked, kind
):
    """By the plain path in bf16, too, to the last bit; by the other in float32 but for rounding."""
    adapter, path = make_adapter(0.3), task_file("openbookqa")
    with load_tasks({"openbookqa": TaskSpec(path, "chat", "acc_norm")}) as tasks:
        tuned = load_model(tiny_model_folder, "bf16" if kind == "reference" else "float32", adapter)
        found = asked(tuned, tokenizer, tasks, 16, "tiny")["openbookqa"]
    precision = "dtype=bfloat16,mixed_precision_dtype=bfloat16" if kind == "reference" else "dtype=float32"
    arguments = f"pretrained={tiny_model_folder},peft={adapter},{precision}"
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"{arguments},softmax_dtype=float32",
        "--tasks", str(path), "--batch_size", "16", "--device", "cpu", "--apply_chat_template",
        "--output_path", str(tmp_path / "results.json"), "--log_samples",
    ]  # fmt: skip
    environment = os.environ | {"HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=environment)
    (path,) = Path(tmp_path).rglob("results_*.json")
    results = json.loads(path.read_text())
    assert results["results"]["grads_openbookqa"]["acc_norm,none"] == found["value"]
    assert results["task_hashes"]["grads_openbookqa"] == found["hash"]
    (path,) = Path(tmp_path).rglob("samples_*.jsonl")
    samples = sorted(map(json.loads, path.read_text().splitlines()), key=lambda sample: sample["doc_id"])
    for sample in samples:
        sample["filtered_resps"] = [[float(response[0][0])] for response in sample["resps"]]
    assert found_by(kind, found, samples)


@pytest.mark.parametrize("room", [26, 40])
def test_contexts_that_are_too_long_are_cut_as_lm_eval_cuts_them(model, tokenizer, task_file, room, asked, kind):
    """On the left, so that the choice, of up to 26 tokens here, and what stands before it are left."""
    model.config.max_position_embeddings = room
    path = task_file("siqa")
    own = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=5, softmax_dtype="float32")
    assert own.max_length == room
    with load_tasks({"siqa": TaskSpec(path, "plain", "acc")}) as tasks:
        found = asked(model, tokenizer, tasks, 5, "tiny")["siqa"]
        expected = evaluate(own, tasks["siqa"].loaded, bootstrap_iters=0)["samples"]["grads_siqa"]
    assert found_by(kind, found, expected)


def test_a_choice_that_is_longer_than_the_model_has_room_is_refused(model, tokenizer, task_file, asked):
    model.config.max_position_embeddings = 25
    sentence = "tiny, siqa: a choice has 26 tokens, but the model has room for 25: leave such items out"
    with (
        load_tasks({"siqa": TaskSpec(task_file("siqa"), "plain", "acc")}) as tasks,
        pytest.raises(GradsError, match=sentence),
    ):
        asked(model, tokenizer, tasks, 5, "tiny")


def test_the_home_is_given_back_when_a_task_fails(task_file):
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    with pytest.raises(RuntimeError), load_tasks({"piqa": TaskSpec(task_file("piqa"), "plain", "acc")}):
        raise RuntimeError
    assert before == datasets.config.HF_DATASETS_CACHE


REACHES = "{{ question }}{{ cycler.__init__.__globals__.os.getpid() }}"


def test_templates_of_ones_own_are_filled_in_in_a_sandbox(task_file):
    path = task_file("openbookqa")
    path.write_text(path.read_text().replace("doc_to_text: question", f'doc_to_text: "{REACHES}"'))
    stored = lm_eval.utils.env
    with (
        pytest.raises(GradsError, match=r"lm-eval cannot load this task .*SecurityError"),
        load_tasks({"own": TaskSpec(path, "plain", "acc")}),
    ):
        pass
    assert lm_eval.utils.env is stored
    with load_tasks({"own": TaskSpec(path, "plain", "acc", allow_code=True)}) as tasks:
        (task,) = tasks["own"].loaded["tasks"].values()
        assert task.doc_to_text(task.eval_docs[0]).endswith(str(os.getpid()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("doc_to_text: question", 'doc_to_text: "{{ question"'),
        ("doc_to_text: question", 'doc_to_text: "{{ question.x.y }}"'),
        ("doc_to_text: question", "doc_to_text: !function absent.prompt"),
        ("doc_to_text: question", "doc_to_text: !!python/name:os.system"),
        ("task: grads_openbookqa", "group: g"),
        ("test_split: test", "test_split: tst"),
        ("dataset_path: json", "dataset_path: ./script.py"),
        ("doc_to_target: gold", "doc_to_target: '{{ gold + 7 }}'"),
        ("doc_to_text: question", "doc_to_txt: question"),
    ],
)
def test_what_lm_eval_makes_of_a_broken_file_is_one_sentence(task_file, old, new):
    path = task_file("openbookqa")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(GradsError, match=path.name), load_tasks({"own": TaskSpec(path, "plain", "acc")}):
        pass


def test_what_task_files_may_hold_is_what_lm_eval_knows():
    """The lists are written out, for reading lm-eval's own would take seconds in every plan."""
    from lm_eval.api import registry
    from lm_eval.config.task import TaskConfig

    keys = {field.name for field in dataclasses.fields(TaskConfig)}
    assert set(task_files.TaskFile.model_fields) | set(task_files.REFUSED) >= keys
    assert set(task_files.TaskFile.model_fields) <= keys
    assert set(task_files.FILTERS) == set(registry.FILTER_REGISTRY)
    assert set(task_files.AGGREGATIONS) == set(registry.AGGREGATION_REGISTRY)
    assert set().union(*task_files.METRICS.values()) <= set(registry.METRIC_REGISTRY)
    for kind, number in task_files.DEFAULT_METRICS.items():
        assert list(task_files.METRICS[kind][:number]) == list(registry.DEFAULT_METRIC_REGISTRY[kind])


@given(st.sampled_from(["question", "{{question}}", "{{ gold }}", "Q: {{question | upper}}\n", "{{ choices[gold] }}"]))
def test_prompts_are_checked_as_lm_eval_writes_them(template):
    item = {"question": "Why?", "choices": ["a", "b"], "gold": 1}
    ours = Templates(list(item)).text(template, item, has_choices=True)
    theirs = item[template] if template in item else lm_eval.utils.apply_template(template, item)
    assert str(ours) == theirs
