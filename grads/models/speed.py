"""How long work takes on a device that is not there: by what it counts and what the device's numbers say.

A pass is bound by its products, by reading the weights once a batch, or by launching the kernels of each layer: the
largest of the three counts. Padding counts as tokens do.
"""

from typing import Literal

from grads.data.passes import Passes
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
    passes: Passes,
    kind: Pass,
    device: Device,
    *,
    computed: Computed = "bf16",
    trained: int = 0,
) -> float:
    """Return the seconds that passes take.

    Args:
        size: the model.
        passes: what goes through it, in batches.
        kind: a forward pass, one with gradients of activations, or a training step.
        device: where.
        computed: type of the weights.
        trained: weights that training changes: an adapter's, or all of the model's.
    """
    reached = UTILISATION[device.kind]
    flops = probe_flops(size.multiplied, int(kind == "probe"), passes.padded)
    if kind == "train":
        frozen = 0 if trained == size.parameters else size.multiplied
        flops = step_flops(frozen, trained, passes.padded)
    share = reached.forward if kind == "forward" else reached.training
    products = flops / (share * device.flops)
    read = passes.batches * READS[kind] * BYTES[computed] * size.parameters
    launched = passes.batches * READS[kind] * size.layers * reached.layer
    return max(products, read / (reached.bandwidth * device.bandwidth), launched)


def answer_seconds(
    size: ModelSize, answers: Passes, context: float, device: Device, *, computed: Computed = "bf16"
) -> float:
    """Return the seconds that generated answers take: a step a token for a batch of them, prompts not included.

    Args:
        size: the model.
        answers: rows x steps, and the steps of all batches.
        context: tokens in front of a new one, on average: of its prompt and of what is answered so far.
        device: where.
        computed: type of the weights.
    """
    if not answers.batches:
        return 0.0
    reached = UTILISATION[device.kind]
    rows = answers.padded / answers.batches
    products = probe_flops(size.multiplied, 0, 1) * rows / (reached.forward * device.flops)
    cache = rows * context * cached_bytes(size, computed)
    reading = (BYTES[computed] * size.parameters + cache) / (reached.bandwidth * device.bandwidth)
    return answers.batches * max(products, reading, size.layers * reached.layer)


def start_seconds(size: ModelSize) -> float:
    """Return the seconds until a process has loaded a model."""
    return PROCESS + size.stored_bytes / DISK
