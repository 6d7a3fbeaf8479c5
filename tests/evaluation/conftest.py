"""A tiny model, an adapter that changes it, and records to answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, make_record
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
    """Return a maker of prepared task files: a task of config/tasks over 24 made-up items."""

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
