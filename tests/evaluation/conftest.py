"""A tiny model, an adapter that changes it, and records to answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from grads.config.evaluation import Evaluation
from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, make_record
from grads.evaluation.benchmarks import run_tasks
from grads.evaluation.drift import measure_drift, untuned_states
from grads.evaluation.engines.choice import engine_of
from grads.evaluation.engines.contract import Engine
from grads.evaluation.generation import generate
from grads.evaluation.likelihood import response_likelihoods
from grads.models.load import load_model, load_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tokenizer(tiny_model_folder: Path) -> Any:
    return load_tokenizer(tiny_model_folder)


@pytest.fixture(scope="session")
def formatter(tokenizer: Any) -> Formatter:
    return Formatter(tokenizer, Format())


@pytest.fixture
def model(tiny_model_folder: Path) -> nn.Module:
    return load_model(tiny_model_folder, "float32")


@pytest.fixture(scope="session")
def make_adapter(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Return a maker of adapter folders, whose B matrices are normal with the given standard deviation."""

    def make(spread: float) -> Path:
        torch.manual_seed(1)
        tuned = get_peft_model(
            load_model(tiny_model_folder, "float32"),
            LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=spread) if spread else nn.init.zeros_(parameter)
        folder = tmp_path_factory.mktemp("adapter")
        tuned.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Records whose prompts and answers differ in length."""
    return [make_record("Define" + " one more word" * n, "", "some answer" + " and on" * (6 - n)) for n in range(6)]


@pytest.fixture(scope="session")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of prepared task files: a task of config/tasks over 24 synthetic items."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        rows = [
            {
                "passage": f"Person {n} walked {n * n} steps.",
                "question": f"What is number {n} of {n + 3}?",
                "choices": [f"thing {n}", f"another, longer thing {n * 7}", "x"],
                "gold": n % 3,
            }
            for n in range(24)
        ]
        data = folder / "items.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        text = (ROOT / "config" / "tasks" / f"{name}.yaml").read_text()
        assert text.count("DATA") == 1
        (folder / f"{name}.yaml").write_text(text.replace("DATA", str(data)))
        return folder / f"{name}.yaml"

    return make


class Counter:
    """A progress that only counts."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, count: int = 1) -> None:
        self.done += count


@pytest.fixture
def counter() -> Counter:
    return Counter()


Opened = Callable[..., Any]


@pytest.fixture(params=["reference", "fast"])
def kind(request: pytest.FixtureRequest) -> str:
    """An engine's name: what is tested with it holds for each of them."""
    return request.param


@pytest.fixture
def on(kind: str) -> Opened:
    """A context: the engine over a model, with a budget of tokens, and with a batch size of lm-eval's."""

    @contextmanager
    def opened(model: nn.Module, budget: int = 4096, batch: int = 16) -> Iterator[Engine]:
        settings = {"engine": kind, "token_budget": budget, "task_batch": batch, "generation_batch": 4}
        with engine_of(model, Evaluation.model_validate(settings)) as engine:
            yield engine

    return opened


@pytest.fixture
def answered(on: Opened) -> Callable[..., Any]:
    """`generate` by an engine that is opened for it."""

    def run(model: nn.Module, formatter: Formatter, records: Any, limit: int, budget: int, progress: Any) -> Any:
        with on(model, budget) as engine:
            return generate(engine, formatter, records, limit, progress)

    return run


@pytest.fixture
def likelihoods(on: Opened) -> Callable[..., Any]:
    """`response_likelihoods` likewise."""

    def run(model: nn.Module, examples: Any, budget: int, progress: Any) -> Any:
        with on(model, budget) as engine:
            return response_likelihoods(engine, examples, progress)

    return run


@pytest.fixture
def untuned_of(on: Opened) -> Callable[..., Any]:
    """`untuned_states` likewise."""

    def run(model: nn.Module, texts: Any, budget: int, progress: Any) -> Any:
        with on(model, budget) as engine:
            return untuned_states(engine, texts, progress)

    return run


@pytest.fixture
def drift_of(on: Opened) -> Callable[..., Any]:
    """`measure_drift` likewise."""

    def run(model: nn.Module, texts: Any, untuned: Any, budget: int, progress: Any) -> Any:
        with on(model, budget) as engine:
            return measure_drift(engine, texts, untuned, progress)

    return run


@pytest.fixture
def asked(on: Opened) -> Callable[..., Any]:
    """`run_tasks` likewise."""

    def run(model: nn.Module, tokenizer: Any, tasks: Any, batch: int, label: str) -> Any:
        with on(model, batch=batch) as engine:
            return run_tasks(engine, tokenizer, tasks, label)

    return run
