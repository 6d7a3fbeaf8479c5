"""How long work takes on a device that is not there: by what it counts and what the device's numbers say.

A pass is bound by its products, by reading the weights once a batch, or by launching the kernels of each layer: the
largest of the three counts. Padding counts as tokens do, so give tokens with it.
"""

import math
from typing import Literal

from grads.models.flops import probe_flops, step_flops
from grads.models.footprint import BYTES, Computed, cached_bytes
from grads.models.hardware import UTILISATION, Device
from grads.models.size import ModelSize

Pass = Literal["forward", "probe", "train"]
# How often a pass reads all weights: forward, for the gradients of activations, and for those of what is trained.
READS = {"forward": 1, "probe": 2, "train": 3}
# Seconds of a process until it loads a model: interpreter, libraries, the device's context.
PROCESS = 20.0
# Bytes in a second that a shared file system gives one process.
DISK = 1.0e9


def pass_seconds(
    size: ModelSize,
    tokens: int,
    kind: Pass,
    device: Device,
    batch: int,
    *,
    computed: Computed = "bf16",
    trained: int = 0,
) -> float:
    """Return the seconds that tokens take.

    Args:
        size: the model.
        tokens: all of them, padding included.
        kind: a forward pass, one with gradients of activations, or a training step.
        device: where.
        batch: tokens that go through the model at a time.
        computed: type of the weights.
        trained: weights that training changes: an adapter's, or all of the model's.
    """
    reached = UTILISATION[device.kind]
    batches = math.ceil(tokens / max(1, batch))
    flops = probe_flops(size.multiplied, int(kind == "probe"), tokens)
    if kind == "train":
        frozen = 0 if trained == size.parameters else size.multiplied
        flops = step_flops(frozen, trained, tokens)
    share = reached.forward if kind == "forward" else reached.training
    products = flops / (share * device.flops)
    reading = batches * READS[kind] * BYTES[computed] * size.parameters / (reached.bandwidth * device.bandwidth)
    return max(products, reading, batches * READS[kind] * size.layers * reached.layer)


def answer_seconds(
    size: ModelSize,
    answers: int,
    new_tokens: int,
    prompt: int,
    rows: int,
    device: Device,
    *,
    computed: Computed = "bf16",
) -> float:
    """Return the seconds that generated answers take: their prompts, then a step a token for a batch of them.

    Args:
        size: the model.
        answers: all of them.
        new_tokens: of each; a batch runs until its longest answer ends, so give the limit.
        prompt: tokens of each prompt.
        rows: answers of a batch.
        device: where.
        computed: type of the weights.
    """
    rows = max(1, min(rows, answers))
    reached = UTILISATION[device.kind]
    products = probe_flops(size.multiplied, 0, rows) / (reached.forward * device.flops)
    cache = rows * (prompt + new_tokens / 2) * cached_bytes(size, computed)
    reading = (BYTES[computed] * size.parameters + cache) / (reached.bandwidth * device.bandwidth)
    step = max(products, reading, size.layers * reached.layer)
    prompts = pass_seconds(size, answers * prompt, "forward", device, rows * prompt, computed=computed)
    return prompts + math.ceil(answers / rows) * new_tokens * step


def start_seconds(size: ModelSize) -> float:
    """Return the seconds until a process has loaded a model."""
    return PROCESS + size.stored_bytes / DISK
