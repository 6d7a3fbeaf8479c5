"""What the tests of the Python interface share: records, and a tiny model measured once."""

from pathlib import Path
from typing import Any

import pytest

import grads

QUICK = {"training": {"precision": "float32", "learning_rate": 0.01, "adapter": {"rank": 2}}}
"""Settings of a few quick steps."""


@pytest.fixture(scope="session")
def records() -> list[dict[str, Any]]:
    """Twenty records, with a field of their own."""
    return [{"number": n, "instruction": f"What is {n} squared?", "output": f"It is {n * n}."} for n in range(20)]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Quick settings, and a work folder that all tests share."""
    return {**QUICK, "work": tmp_path_factory.mktemp("api") / "work"}


@pytest.fixture(scope="session")
def signals(tiny_model_folder: Path, records: list[dict[str, Any]], settings: dict[str, Any]) -> grads.Signals:
    """What `grads` reads of the records."""
    return grads.probe(tiny_model_folder, records, ["gradients", "hidden"], **settings)
