import dataclasses
import json
import shutil

import pytest

from grads.config.evaluation import Evaluation, Generation
from grads.config.models import Format
from grads.data.records.record import write_records
from grads.evaluation import run as module
from grads.evaluation.benchmarks import TaskSpec
from grads.evaluation.lm_eval_model import BenchmarkModel
from grads.evaluation.run import EvaluationCell, EvaluationSettings, evaluate_cells
from grads.models.load import load_model, load_tokenizer
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, read_jsonl
from grads.study.paths import documents_path
from tests.data.template_families import FAMILIES


@pytest.fixture
def settings(tmp_path, task_file):
    texts = tmp_path / "text.jsonl"
    texts.write_text(
        "".join(json.dumps({"text": f"Some general text, number {n}, of no note."}) + "\n" for n in range(4))
    )
    return EvaluationSettings(
        form=Format(),
        generation=Generation(max_new_tokens=6),
        evaluation=Evaluation(precision="float32", token_budget=500),
        tasks={"piqa": TaskSpec(task_file("piqa"), "plain", "acc")},
        texts=texts,
        text_tokens=16,
        max_length=512,
    )


@pytest.fixture
def cell(tmp_path, records):
    test = tmp_path / "test.parquet"
    write_records(test, [*records[:-1], dataclasses.replace(records[-1], connected="document")])

    def make(name, trained, domain=True, general=True):
        folder = tmp_path / name
        return EvaluationCell(
            name, trained, test if domain else None,
            folder / "predictions.jsonl" if domain else None, folder / "general.json" if general else None,
        )  # fmt: skip

    return make


def outputs(cell):
    general = read_json(cell.general)
    # What it took differs from run to run.
    assert isinstance(general.pop("seconds"), float)
    return read_jsonl(cell.predictions), general


def test_cells_of_a_list_equal_cells_alone(tiny_model_folder, make_adapter, cell, settings, records):
    first, second = make_adapter(0.3), make_adapter(0.6)
    together = [cell("a", first), cell("untuned", None), cell("b", second), cell("again", first)]
    evaluate_cells(tiny_model_folder, together, settings)
    a, untuned, b, again = map(outputs, together)
    alone = cell("alone", second)
    evaluate_cells(tiny_model_folder, [alone], settings)
    assert outputs(alone) == b
    assert again == a
    assert untuned[1]["drift"]["kl"] == 0
    assert 0 < a[1]["drift"]["kl"] < b[1]["drift"]["kl"]
    assert len({rows[0]["response_nll"] for rows, _ in (a, untuned, b)}) == 3
    assert [row["id"] for row in a[0]] == [r.id for r in records]
    assert list(a[0][0])[:4] == ["id", "prompt", "reference", "prediction"]
    assert set(a[0][0]) - {"id", "prompt", "reference", "prediction"} == {
        "response_nll", "response_tokens", "new_tokens", "capped",
    }  # fmt: skip
    assert [row.get("group", "") for row in a[0]] == [*[""] * (len(records) - 1), "document"]
    drift = a[1]["drift"]
    assert drift["n"] == 4
    assert drift["nll"] == pytest.approx(sum(i["nll"] for i in drift["items"]) / 4)
    bits, sizes = (sum(i[name] for i in drift["items"]) for name in ("bits", "bytes"))
    assert drift["bits_per_byte"] == pytest.approx(bits / sizes)
    assert drift["bits_per_byte"] > 0


def test_test_records_none_of_which_can_be_asked_are_refused(tiny_model_folder, cell, settings, records):
    short = dataclasses.replace(settings, max_length=2)
    with pytest.raises(GradsError, match=f"none of {len(records)} test prompts fits into training.max_length = 2"):
        evaluate_cells(tiny_model_folder, [cell("untuned", None)], short)


def test_all_weights_stand_next_to_the_base(tiny_model_folder, make_adapter, cell, settings, tmp_path):
    adapter = make_adapter(0.3)
    merged = load_model(tiny_model_folder, "float32", adapter).merge_and_unload()
    merged.save_pretrained(tmp_path / "weights")
    cells = [cell("weights", tmp_path / "weights"), cell("adapter", adapter)]
    evaluate_cells(tiny_model_folder, cells, settings)
    (full_rows, full), (rows, general) = map(outputs, cells)
    assert full["drift"]["kl"] == pytest.approx(general["drift"]["kl"], rel=1e-3)
    assert [r["response_nll"] for r in full_rows] == pytest.approx([r["response_nll"] for r in rows], rel=1e-5)
    assert full["tasks"]["piqa"]["gold_logprob"] == pytest.approx(general["tasks"]["piqa"]["gold_logprob"], rel=1e-5)


@pytest.mark.parametrize("kind", ["adapter", "weights"])
def test_a_trained_model_is_loaded_once_for_its_cells(
    tiny_model_folder, make_adapter, cell, settings, tmp_path, monkeypatch, kind
):
    trained = make_adapter(0.3)
    if kind == "weights":
        load_model(tiny_model_folder, "float32", trained).merge_and_unload().save_pretrained(tmp_path / "weights")
        trained = tmp_path / "weights"
    loaded = []
    real = module.trained_adapter, module.load_model

    def adapter(*given, **named):
        loaded.append("adapter")
        return real[0](*given, **named)

    def weights(*given):
        loaded.append("weights" if len(given) > 2 else "base")
        return real[1](*given)

    monkeypatch.setattr(module, "trained_adapter", adapter)
    monkeypatch.setattr(module, "load_model", weights)
    cells = [cell("a", trained, general=False), cell("b", trained), cell("c", None), cell("d", trained)]
    evaluate_cells(tiny_model_folder, cells, settings)
    assert loaded == ["base", kind, kind]
    assert read_jsonl(cells[0].predictions) == outputs(cells[1])[0]
    assert outputs(cells[1]) == outputs(cells[3]) != outputs(cells[2])


def test_only_what_is_asked_is_written(tiny_model_folder, cell, settings):
    domain, general = cell("domain", None, general=False), cell("general", None, domain=False)
    evaluate_cells(tiny_model_folder, [domain, general], settings)
    assert [p.name for p in domain.predictions.parent.iterdir()] == ["predictions.jsonl"]
    assert {p.name for p in general.general.parent.iterdir()} == {"general.json", "general-documents.jsonl"}
    task, documents = read_json(general.general)["tasks"]["piqa"], read_jsonl(documents_path(general.general))
    assert len(documents) == task["n"] == 24
    assert all(len(row["choice_logprobs"]) == 3 and row["benchmark"] == "piqa" for row in documents)
    # What tables read stays where they read it, and says the same.
    read = ("doc_id", "group", "correct", "gold", "gold_logprob", "choice_logprobs")
    assert [{name: row[name] for name in read if name in row} for row in documents] == task["items"]


def test_finished_cells_stay_when_a_later_one_fails(tiny_model_folder, cell, settings, tmp_path):
    cells = [cell("good", None), cell("bad", tmp_path / "nothing")]
    with pytest.raises(GradsError, match="run its training again"):
        evaluate_cells(tiny_model_folder, cells, settings)
    assert outputs(cells[0])
    assert not cells[1].predictions.exists()


def test_progress_names_cells_and_parts(tiny_model_folder, cell, settings, capfd):
    evaluate_cells(tiny_model_folder, [cell("law, random at 0.05", None)], settings)
    said = capfd.readouterr().err
    for part in ("cell 1 of 1", "answers: 6/6", "response likelihood: 6/6", "piqa: 72/72", "general text: 4/4"):
        assert part in said


def test_a_hybrid_model_is_asked_without_thinking(tiny_model_folder, cell, settings, task_file, tmp_path, monkeypatch):
    """A Qwen 3-shaped model: its untuned answers and its chat benchmarks begin behind an empty thinking block."""
    qwen = next(family for family in FAMILIES if family.name == "Qwen 3")
    folder = tmp_path / "hybrid"
    shutil.copytree(tiny_model_folder, folder)
    tokenizer = load_tokenizer(folder)
    tokenizer.chat_template = qwen.template
    tokenizer.save_pretrained(folder)
    form = Format(template_arguments={"enable_thinking": False})
    tasks = {"piqa": TaskSpec(task_file("piqa"), "chat", "acc")}
    contexts = []
    scored = BenchmarkModel.loglikelihood

    def loglikelihood(self, requests, **options):
        contexts.extend(request.args[0] for request in requests)
        return scored(self, requests, **options)

    monkeypatch.setattr(BenchmarkModel, "loglikelihood", loglikelihood)
    untuned = cell("untuned", None)
    evaluate_cells(folder, [untuned], dataclasses.replace(settings, form=form, tasks=tasks))
    rows, _ = outputs(untuned)
    messages = [{"role": "user", "content": "Define"}]
    asked = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert rows[0]["prompt"] == asked
    thinking = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert len(contexts) == 72
    assert all(prompt.endswith(thinking) for prompt in [*(row["prompt"] for row in rows), *contexts])
