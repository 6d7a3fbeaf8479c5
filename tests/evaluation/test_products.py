"""No product that evaluation makes kills a process on a processor with AMX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from grads.config.training import Adapter
from grads.evaluation.benchmarks import TaskSpec, load_tasks, run_tasks
from grads.evaluation.drift import measure_drift, text_ids, untuned_states
from grads.evaluation.engines.contract import Engine
from grads.evaluation.generation import generate
from grads.evaluation.likelihood import response_likelihoods
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model

VOCABULARY = 49_152


@pytest.fixture(scope="module")
def tuned(long_model_folder: Path) -> nn.Module:
    return fresh_adapter(load_model(long_model_folder, "bf16"), Adapter(rank=2), 1).eval()


def likelihoods(tuned: Engine, formatter: Any, records: Any, counter: Any) -> None:
    response_likelihoods(tuned, [formatter.example(record) for record in records], counter)


def answers(tuned: Engine, formatter: Any, records: Any, counter: Any) -> None:
    generate(tuned, formatter, records[:2], 3, counter)


def drift(tuned: Engine, formatter: Any, _records: Any, counter: Any) -> None:
    texts = text_ids(formatter.tokenizer, ["Rain fell.", "Ships left."], 12)
    measure_drift(tuned, texts, untuned_states(tuned, texts, counter), counter)


@pytest.mark.parametrize("evaluate", [likelihoods, answers, drift])
def test_of_answers_and_texts(
    tuned: nn.Module,
    formatter: Any,
    records: Any,
    counter: Any,
    watched_products: Any,
    evaluate: Callable[..., None],
    on: Any,
) -> None:
    with on(tuned, 100) as engine, watched_products:
        evaluate(engine, formatter, records, counter)
    assert watched_products.longest == VOCABULARY
    assert not watched_products.fatal


def test_of_benchmarks(
    tuned: nn.Module, tokenizer: Any, task_file: Callable[[str], Path], watched_products: Any, on: Any
) -> None:
    path = task_file("piqa")
    items = path.with_name("items.jsonl")
    items.write_text("".join(items.read_text().splitlines(keepends=True)[:2]))
    with load_tasks({"piqa": TaskSpec(path, "plain", "acc")}) as tasks, on(tuned, batch=8) as engine, watched_products:
        run_tasks(engine, tokenizer, tasks, "tiny")
    assert watched_products.longest == VOCABULARY
    assert not watched_products.fatal
