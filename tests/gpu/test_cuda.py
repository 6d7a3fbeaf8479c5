"""Probe and training on a CUDA device against the CPU: `pytest -m gpu`. Skipped without a device.

Tolerances: in float32, without TF32, sums in another order; in bf16, products rounded to 8 bits on both sides.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from grads.data.records.formatting import Example
from grads.models.load import load_model
from grads.models.memory import free_memory, out_of_memory, watch_memory
from grads.probing.gradients.passes import Pass
from grads.probing.invariance import relative_errors
from grads.probing.tolerances import EXACT, rough
from grads.signals.measured import Measured
from grads.signals.store import Store, read_store

SCRIPT = Path(__file__).with_name("measure.py")
ROUGH = rough()
TOLERANCE = {"float32": 1e-3, "bf16": 0.1}
STORES = ("base", "shard0", "shard1", "shards")


def measure(model: Path, folder: Path, precision: str, devices: str | None) -> dict:
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"CUDA_VISIBLE_DEVICES": devices} if devices is not None else {}
    command = [sys.executable, SCRIPT, model, folder, precision]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    stores = {name: read_store(folder / name) for name in STORES}
    return json.loads((folder / "measured.json").read_text(encoding="utf-8")) | stores


def measured(store: Store) -> Measured:
    """Return a store's numbers, its vectors whole."""
    columns = {name: store.signals[name].to_numpy(copy=True) for name in store.signals if name in ROUGH}
    return Measured(columns, {kind: np.asarray(vectors) for kind, vectors in store.features.items()})


def too_far(found: Store, expected: Store, precision: str) -> dict[str, float]:
    """Return the errors that are larger than documented; in bf16 both sides round, so twice as much is allowed."""
    assert found.signals["id"].tolist() == expected.signals["id"].tolist()
    limits = {name: EXACT if precision == "float32" else 2 * ROUGH[name] for name in ROUGH}
    # A store keeps directions in half precision.
    half = dict.fromkeys(found.features, 2.0**-10)
    errors = relative_errors(measured(found), measured(expected))
    return {name: error for name, error in errors.items() if error > limits[name] + half.get(name, 0.0)}


@pytest.fixture(scope="module", params=["float32", "bf16"])
def both(request, tiny_model_folder, tmp_path_factory):
    """What the CUDA device and the CPU give, and how far they may be apart."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    folder = tmp_path_factory.mktemp("cuda")
    cuda = measure(tiny_model_folder, folder / "cuda", request.param, None)
    cpu = measure(tiny_model_folder, folder / "cpu", request.param, "")
    return cuda, cpu, request.param


@pytest.mark.gpu
def test_each_ran_where_it_should(both):
    cuda, cpu, _ = both
    assert (cuda["device"], cpu["device"]) == ("cuda", "cpu")


@pytest.mark.gpu
def test_the_probe_gives_the_signals_of_the_cpu(both):
    cuda, cpu, precision = both
    assert too_far(cuda["base"], cpu["base"], precision) == {}


@pytest.mark.gpu
def test_features_are_by_the_same_projection_on_both(both):
    cuda, cpu, precision = both
    found, expected = (np.asarray(one["base"].features["sgd_features"].unit) for one in (cuda, cpu))
    # Entries that are large enough for rounding not to turn them.
    large = np.abs(expected) > (0.01 if precision == "float32" else 0.5) * np.abs(expected).max(axis=1, keepdims=True)
    assert large.any(axis=1).all()
    assert (np.sign(found[large]) == np.sign(expected[large])).all()


@pytest.mark.gpu
def test_two_shards_are_the_whole(both):
    cuda, cpu, precision = both
    assert [len(cuda[f"shard{number}"].signals) for number in range(2)] == [8, 8]
    assert too_far(cuda["shards"], cuda["base"], precision) == {}
    assert too_far(cuda["shards"], cpu["base"], precision) == {}


@pytest.mark.gpu
def test_the_memory_of_the_device_is_recorded(both):
    cuda, cpu, _ = both
    assert cuda["base"].meta["peak_memory"]["device"] > 0
    assert "device" not in cpu["base"].meta["peak_memory"]


@pytest.mark.gpu
def test_a_training_step_gives_the_loss_and_gradient_of_the_cpu(both):
    cuda, cpu, precision = both
    tolerance = TOLERANCE[precision]
    assert len(cuda["curve"]) == len(cpu["curve"]) == 2
    first, expected = cuda["curve"][0], cpu["curve"][0]
    assert first["loss"] == pytest.approx(expected["loss"], rel=tolerance / 10)
    assert first["grad_norm"] == pytest.approx(expected["grad_norm"], rel=tolerance)
    # AdamW's first step is the rate times the gradient's sign, which rounding flips where the gradient is nearly 0.
    assert cuda["curve"][1]["loss"] == pytest.approx(cpu["curve"][1]["loss"], rel=tolerance)


@pytest.mark.gpu
def test_training_twice_gives_the_same_weights(both, tiny_model_folder, tmp_path):
    cuda, _, precision = both
    runs = [measure(tiny_model_folder, tmp_path / name, precision, None) for name in ("one", "other")]
    assert cuda["curve"] == runs[0]["curve"] == runs[1]["curve"]
    one, other = (load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_measurement_is_the_same_twice_on_the_cpu(tiny_model_folder, tmp_path):
    one, other = (measure(tiny_model_folder, tmp_path / name, "float32", "") for name in ("one", "other"))
    assert (one["device"], one["curve"]) == ("cpu", other["curve"])
    assert one["curve"][1]["loss"] < one["curve"][0]["loss"]
    for name in STORES:
        assert max(relative_errors(measured(one[name]), measured(other[name])).values()) == 0
    assert too_far(one["shards"], one["base"], "float32") == {}
    wrong = measured(one["base"])
    wrong.columns["head_l2"][2] *= 1.001
    assert relative_errors(wrong, measured(one["base"]))["head_l2"] > EXACT


@pytest.mark.gpu
def test_no_record_waits_for_the_device_by_itself(tiny_model_folder):
    """A batch of sixteen records makes the host wait as often as one of four; extremes may take a round more."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    model, wanted = load_model(tiny_model_folder, "float32"), ["gradients", "weights", "sgd_features", "hidden", "el2n"]
    examples = [Example(f"record{n}", [5, 6, 7 + n, 8, 9, 10], 2) for n in range(16)]
    with Pass(model, wanted, 0).ready(examples[0]) as ready:
        # What is made once is made here.
        ready.measure(examples)
        few, many = (waits(lambda some=some: ready.measure(some)) for some in (examples[:4], examples))
    assert 0 < many <= few + 1


def waits(work) -> int:
    """Return how often the host waits for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


@pytest.mark.gpu
def test_memory_of_the_device_is_known():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    device = torch.device("cuda")
    free = free_memory(device)
    assert 0 < free <= torch.cuda.get_device_properties(device).total_memory
    most = watch_memory(device)
    torch.ones(2**26, device=device).sum()
    assert 2**28 <= most() < 2**29
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2 * free, dtype=torch.uint8, device=device)
    assert out_of_memory(caught.value)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_model_is_loaded_onto_the_device_itself(precision, tiny_model_folder):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    model = load_model(tiny_model_folder, precision)
    tensors = [*model.parameters(), *model.buffers()]
    assert {tensor.device for tensor in tensors} == {torch.device("cuda", torch.cuda.current_device())}
    stored = load_file(tiny_model_folder / "model.safetensors")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.cpu(), stored[name].to(parameter.dtype)), name
