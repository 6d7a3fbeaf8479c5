"""Probe and training on a CUDA device against the CPU: `pytest -m gpu`. Skipped without a device.

Tolerances: in float32, without TF32, sums in another order; in bf16, products rounded to 8 bits on both sides.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grads.models.memory import free_memory, most_memory
from grads.probe.budget import out_of_memory

SCRIPT = Path(__file__).with_name("measure.py")
TOLERANCE = {"float32": 1e-3, "bf16": 0.1}
ENTRIES = 259 * 32  # of the tiny model's embedding and head


def measure(model: Path, folder: Path, precision: str, devices: str | None) -> dict:
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"CUDA_VISIBLE_DEVICES": devices} if devices is not None else {}
    command = [sys.executable, SCRIPT, model, folder, precision]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((folder / "measured.json").read_text(encoding="utf-8"))


def worst(found: dict, expected: dict) -> dict[str, float]:
    """Return the largest relative deviation of each statistic; of a mean, relative to the root mean square."""
    largest: dict[str, float] = {}
    for one, other in zip(found["statistics"], expected["statistics"], strict=True):
        for name, value in other.items():
            mean = name.endswith("_mean")
            scale = other[name.replace("_mean", "_l2")] / math.sqrt(ENTRIES) if mean else abs(value)
            largest[name] = max(largest.get(name, 0.0), abs(one[name] - value) / scale)
    return largest


@pytest.fixture(scope="module", params=["float32", "bf16"])
def both(request, tiny_model_folder, tmp_path_factory):
    """What the CUDA device and the CPU give, and how far they may be apart."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    folder = tmp_path_factory.mktemp("cuda")
    cuda = measure(tiny_model_folder, folder / "cuda", request.param, None)
    cpu = measure(tiny_model_folder, folder / "cpu", request.param, "")
    return cuda, cpu, TOLERANCE[request.param]


@pytest.mark.gpu
def test_each_ran_where_it_should(both):
    cuda, cpu, _ = both
    assert (cuda["device"], cpu["device"]) == ("cuda", "cpu")


@pytest.mark.gpu
def test_the_probe_gives_the_statistics_of_the_cpu(both):
    cuda, cpu, tolerance = both
    assert max(worst(cuda, cpu).values()) < tolerance


@pytest.mark.gpu
def test_a_training_step_gives_the_loss_and_gradient_of_the_cpu(both):
    cuda, cpu, tolerance = both
    assert len(cuda["curve"]) == len(cpu["curve"]) == 2
    first, expected = cuda["curve"][0], cpu["curve"][0]
    assert first["loss"] == pytest.approx(expected["loss"], rel=tolerance / 10)
    assert first["grad_norm"] == pytest.approx(expected["grad_norm"], rel=tolerance)
    # AdamW's first step is the rate times the gradient's sign, which rounding flips where the gradient is nearly 0.
    assert cuda["curve"][1]["loss"] == pytest.approx(cpu["curve"][1]["loss"], rel=tolerance)


@pytest.mark.slow
def test_the_measurement_is_the_same_twice_on_the_cpu(tiny_model_folder, tmp_path):
    one, other = (measure(tiny_model_folder, tmp_path / name, "float32", "") for name in ("one", "other"))
    assert one == other
    assert one["device"] == "cpu"
    assert one["curve"][1]["loss"] < one["curve"][0]["loss"]
    assert max(worst(one, other).values()) == 0


@pytest.mark.gpu
def test_memory_of_the_device_is_known():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    device = torch.device("cuda")
    free = free_memory(device)
    assert 0 < free <= torch.cuda.get_device_properties(device).total_memory
    _, taken = most_memory(device, lambda: float(torch.ones(2**26, device=device).sum()))
    assert 2**28 <= taken < 2**29
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2 * free, dtype=torch.uint8, device=device)
    assert out_of_memory(caught.value)
