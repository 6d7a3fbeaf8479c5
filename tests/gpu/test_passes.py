"""The pass on a CUDA device: compiled layers, whole gradients, and memory that runs out. Skipped without a device."""

import copy

import pytest
import torch

from grads.config.features import Features
from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.models.moments import initial_moments
from grads.probing.budget import Budget
from grads.probing.invariance import relative_errors
from grads.probing.measure import measure
from grads.probing.tolerances import EXACT

pytestmark = pytest.mark.gpu
EXAMPLES = [Example(f"record{n}", [5 + (n + 7 * k) % 50 for k in range(8 + n % 5 * 9)], 3) for n in range(24)]
SIGNALS = ["gradients", "mean_abs", "adapter", "sgd_features", "hidden", "el2n"]


@pytest.fixture
def model(tiny_model_folder):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), 0)


def test_compiled_layers_give_the_same(model):
    plain, compiled = (measure(model, EXAMPLES, SIGNALS, 256, 0, compiled=choice) for choice in (False, True))
    assert max(relative_errors(compiled, plain).values()) < EXACT


def test_whole_gradients_are_those_of_the_cpu(model):
    features = Features(projection="dense", dimension=32, allow_costly=True)
    found, expected = (
        measure(
            one, EXAMPLES, ["sgd_features", "adam_features"], 256, 0, features=features, moments=initial_moments(one)
        )
        for one in (model, copy.deepcopy(model).cpu())
    )
    errors = relative_errors(found, expected)
    assert {"sgd_features", "adam_features"} <= set(errors)
    assert max(errors.values()) < 1e-3


def test_memory_that_runs_out_halves_the_budget_and_changes_no_number(model):
    examples = [Example(f"{one.id}-{n}", one.input_ids, one.prompt_tokens) for n in range(100) for one in EXAMPLES]
    expected, budget = measure(model, examples, SIGNALS, 1024, 0), Budget(2**20)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**25) / total)
    try:
        found = measure(model, examples, SIGNALS, budget, 0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert {deviation["reason"] for deviation in budget.deviations} == {"memory ran out"}
    assert max(relative_errors(found, expected).values()) < EXACT
