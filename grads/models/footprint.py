"""How much memory a piece of work takes on its device, by arithmetic: bytes of each part, before anything is loaded.

Written for P weights, of which T are trained, of a decoder of L layers of width H, with F inside its perceptron and K
of its keys (heads x width), over N tokens of which R carry loss, a vocabulary of V, and b bytes a number: 2 in bf16, 4
in float32.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from grads.config.section import Precision
from grads.config.training import Training
from grads.models.hardware import DEVICES, GB, Device, Kind
from grads.models.size import ModelSize

Computed = Literal["bf16", "float32"]
BYTES: Mapping[Computed, int] = {"bf16": 2, "float32": 4}
# A trained weight in float32 with its gradient; AdamW remembers two numbers of it, and takes one more for its step.
MASTER = 4
GRADIENT = 4
MOMENTS = 8
STEP = 4
# Bytes that a token leaves in a layer for the backward pass, as multiples of H, F and K: summed over the tensors that
# autograd saves of a llama's layer (SDPA without a mask), each once, in training as it is here. PEFT's paths hold
# their inputs in float32; what is trained whole has its residual stream in float32.
SAVED: Mapping[tuple[str, Computed], tuple[int, int, int]] = {
    ("lora", "bf16"): (24, 8, 4),
    ("lora", "float32"): (24, 16, 8),
    ("full", "bf16"): (30, 8, 4),
    ("full", "float32"): (32, 16, 8),
}
# What dropout in an adapter adds, of H and F: masks, which are float32 on a CPU and bytes on a GPU, and each path's
# input of its own.
DROPPED: Mapping[tuple[Kind, Computed], tuple[int, int]] = {
    ("cpu", "bf16"): (24, 4),
    ("cpu", "float32"): (40, 4),
    ("cuda", "bf16"): (6, 1),
    ("cuda", "float32"): (22, 1),
}
# A processor's allocator keeps what a pass frees on its way, in pieces between what it still holds: 0.94 GB a thousand
# tokens next to 1.24 GB of activations (SmolLM2-135M, LoRA, float32).
KEPT = 0.75
# Bytes a logit: as float32, as logarithms of probabilities, and as a gradient.
LOGIT = 12
# Of those that are only read: as they are made, and in float32.
READ_LOGIT = 8
# Of the base model's, for a loss that reads them: as float32, as logarithms, and each one's part of the loss.
BASE_LOGIT = 12
# A weight of the base model, of its Fisher information, or of what training has changed, in float32.
HELD = 4
# Bytes that a dense projection keeps: a block, and those that are kept for the next call.
DENSE_KEPT = 2**26 + 2**28
# Bytes of a forward pass alone in the layer that is at work, as multiples of b H and b F.
PASSING = (8, 4)


@dataclass(frozen=True)
class Footprint:
    """Bytes of each part of what a piece of work holds at its peak, by the part's name."""

    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        """Return the sum as it is added up, in GB: `weights 15.2 + adapter 0.2 = 15.4 GB`."""
        shown = [f"{name} {size / GB:.1f}" for name, size in self.parts.items() if size >= 0.05 * GB]
        return f"{' + '.join(shown)} = {self.total / GB:.1f} GB" if len(shown) > 1 else f"{self.total / GB:.1f} GB"


@dataclass(frozen=True)
class BaseRead:
    """What a loss reads of the base model next to the trained one; see `grads.training.strategies.contract.Needs`.

    Attributes:
        logits: its predictions.
        weights: its weights, from which training moves away.
        fisher: its Fisher information.
    """

    logits: bool = False
    weights: bool = False
    fisher: bool = False


NOT_READ = BaseRead()


def training_footprint(
    size: ModelSize,
    training: Training,
    computed: Computed,
    records: int,
    length: int,
    response: int | None = None,
    *,
    kind: Kind = "cuda",
    base: BaseRead = NOT_READ,
) -> Footprint:
    """Return what a training step holds at its peak.

    With LoRA: weights b P, and of T adapter weights 4 T in float32, 4 T gradients, 8 T moments of AdamW. With all
    weights: 4 P, 4 P, 8 P, and in bf16 the copies 2 P that autocast keeps during a pass. Then activations: N tokens x
    (L + 1) layers x SAVED bytes, the one more for what the backward pass makes, and on a processor KEPT of it more; or
    with `training.checkpointing: always`, of each layer its input alone, and two layers whole. Logits: R V x 12.
    AdamW's step takes 4 T for itself, when activations and logits are gone: the larger of the two counts.

    What a loss reads of the base model, of whose weights W are trained or have an adapter: a copy of 4 P where all are
    trained, which an adapter needs none of; Fisher information 4 W; during a pass its own layer at work and its logits,
    R V x 12, and the change of each weight, 4 W. Of an adapter's, a change is made whole only where Fisher information
    weighs it.

    Args:
        size: the model.
        training: says what is trained.
        computed: what autocast computes in.
        records: of a micro-batch.
        length: tokens of each, padding included.
        response: tokens of each that carry loss; all of them if not given.
        kind: of the device.
        base: what the loss reads of the base model.
    """
    tokens = records * length
    answers = records * min(length, response or length)
    trained = trained_parameters(size, training)
    lora = training.weights == "lora"
    layer = _saved(size, training, computed, kind)
    activations = tokens * (size.layers + 1) * layer
    if training.checkpointing == "always":
        residual = size.hidden * (BYTES[computed] if lora else MASTER)
        activations = tokens * (size.layers * residual + 2 * layer)
    passing = _passing_parts(activations, answers * size.vocabulary * LOGIT, kind)
    if not lora and computed == "bf16":
        passing["copies in bf16"] = 2 * size.parameters
    passing |= _base_passing(size, training, computed, tokens, answers, base)
    if sum(passing.values()) < STEP * trained:
        passing = {"the optimiser's step": STEP * trained}
    weights = {"weights": BYTES[computed] * size.parameters} if lora else {}
    own = {"adapter" if lora else "weights in float32": MASTER * trained}
    states = {"gradients": GRADIENT * trained, "optimiser states": MOMENTS * trained}
    return Footprint(weights | own | states | _base_held(size, training, base) | passing)


def _base_held(size: ModelSize, training: Training, base: BaseRead) -> dict[str, int]:
    """Return what a run holds of the base model from its beginning to its end."""
    held = {}
    if training.weights == "full" and (base.logits or base.weights):
        held["copy of the base model"] = HELD * size.parameters
    if base.fisher:
        held["Fisher information"] = HELD * _moved(size, training)
    return held


def _base_passing(
    size: ModelSize, training: Training, computed: Computed, tokens: int, answers: int, base: BaseRead
) -> dict[str, int]:
    """Return what a loss that reads the base model holds during a pass."""
    held = {}
    if base.logits:
        held["base model's logits"] = tokens * _passing(size, computed) + answers * size.vocabulary * BASE_LOGIT
    if base.weights and (training.weights == "full" or base.fisher):
        held["changes of weights"] = HELD * _moved(size, training)
    return held


def _moved(size: ModelSize, training: Training) -> int:
    """Return how many of the model's own weights training moves: all, or those that an adapter is added to."""
    if training.weights == "full":
        return size.parameters
    return sum(math.prod(matrix.shape) for matrix in size.adapted(training.adapter.targets))


def scaling_footprint(size: ModelSize, training: Training) -> Footprint:
    """Return what scaling another run's change of the base model holds, w0 + alpha (w - w0): nothing is trained.

    With all weights, those of the base model and of the run in float32, 8 P. Of an adapter its T weights, 4 T, and as
    many scaled ones; no model is loaded.
    """
    if training.weights == "full":
        return Footprint({"weights in float32": MASTER * size.parameters, "base model": MASTER * size.parameters})
    return Footprint({"adapter": 2 * MASTER * trained_parameters(size, training)})


def _passing_parts(activations: int, logits: int, kind: Kind) -> dict[str, int]:
    """Return what a forward and a backward pass hold."""
    kept = {"freed and kept": int(KEPT * activations)} if kind == "cpu" else {}
    return {"activations": activations} | kept | {"logits": logits}


def trained_parameters(size: ModelSize, training: Training) -> int:
    """Return how many weights training changes: the adapter's, or all."""
    if training.weights == "full":
        return size.parameters
    return size.adapter_parameters(training.adapter.rank, training.adapter.targets)


def probe_footprint(
    size: ModelSize,
    training: Training,
    computed: Computed,
    tokens: int,
    *,
    gradients: bool,
    losses: bool = True,
    dense: bool = False,
    kind: Kind = "cuda",
) -> Footprint:
    """Return what a batch of the probe holds at its peak.

    Weights b P, and the adapter's 4 T in float32 where there is one. With gradients, which are taken from frozen
    weights, what training leaves of a token without dropout; without them, one layer at work: b (8 H + 4 F) a token.
    Logits where losses are measured, of all tokens at most: 12 V a token with gradients and 8 V without.

    Args:
        size: the model.
        training: says whether there is an adapter.
        computed: type of the weights.
        tokens: of a batch, padding included.
        gradients: whether a backward pass is made.
        losses: whether the LM head is needed.
        dense: whether gradients are projected by one matrix, of which 320 MiB are kept.
        kind: of the device.
    """
    undropped = training.model_copy(update={"adapter": training.adapter.model_copy(update={"dropout": 0.0})})
    frozen = _frozen(size, training, computed) | ({"projection": DENSE_KEPT} if dense else {})
    if gradients:
        activations = tokens * (size.layers + 1) * _saved(size, undropped, computed, kind)
        return Footprint(frozen | _passing_parts(activations, tokens * size.vocabulary * LOGIT, kind))
    logits = {"logits": tokens * size.vocabulary * READ_LOGIT} if losses else {}
    return Footprint(frozen | {"activations": tokens * _passing(size, computed)} | logits)


def generation_footprint(
    size: ModelSize, training: Training, computed: Computed, tokens: int, rows: int, passing: int | None = None
) -> Footprint:
    """Return what generating answers holds at its peak.

    Weights b P and the adapter's 4 T; of full training, the untuned weights and the tuned ones. Of every token of
    prompts and answers, keys and values of all layers: 2 L K b bytes. One layer at work, and of each row one position's
    logits, 8 V.

    Args:
        size: the model.
        training: says what was trained.
        computed: type of the weights.
        tokens: of prompts and answers in a batch, padding included.
        rows: answers in a batch.
        passing: most tokens of one pass; all of them if not given.
    """
    cache = tokens * cached_bytes(size, computed)
    at_once = tokens if passing is None else passing
    work = {"key-value cache": cache, "activations": at_once * _passing(size, computed)}
    logits = {"logits": rows * size.vocabulary * READ_LOGIT}
    return Footprint(_frozen(size, training, computed, tuned=True) | work | logits)


def scoring_footprint(
    size: ModelSize,
    training: Training,
    computed: Computed,
    rows: int,
    length: int,
    *,
    cached: bool = True,
    positions: int | None = None,
) -> Footprint:
    """Return what a batch of lm-eval's choices holds at its peak.

    That is logits, b V for each of all positions, or 8 V for each of those that are read, and the cache.

    Args:
        size: the model.
        training: says what was trained.
        computed: type of the weights.
        rows: choices in a batch.
        length: tokens of each, padding included.
        cached: whether the pass fills a key-value cache, too.
        positions: whose logits are held at a time, where these are not all.
    """
    tokens = rows * length
    logits = tokens * BYTES[computed] if positions is None else positions * READ_LOGIT
    parts = {"activations": tokens * _passing(size, computed), "logits": size.vocabulary * logits}
    if cached:
        parts["key-value cache"] = tokens * cached_bytes(size, computed)
    return Footprint(_frozen(size, training, computed, tuned=True) | parts)


def precision(asked: Precision, device: Device) -> Computed:
    """Return what is computed in: of `auto`, bf16 on a GPU and float32, the larger, on a processor."""
    if asked == "auto":
        return "bf16" if device.kind == "cuda" else "float32"
    return "bf16" if asked == "bf16" else "float32"


def cached_bytes(size: ModelSize, computed: Computed) -> int:
    """Return the bytes of a token's keys and values in all layers: 2 L K b."""
    return 2 * size.layers * size.kv_heads * size.head_width * BYTES[computed]


def evaluated_weights(size: ModelSize, training: Training, computed: Computed) -> int:
    """Return the bytes of all weights that an evaluation holds: of full training, the untuned and the tuned ones."""
    return sum(_frozen(size, training, computed, tuned=True).values())


def _frozen(size: ModelSize, training: Training, computed: Computed, tuned: bool = False) -> dict[str, int]:
    weights = {"weights": BYTES[computed] * size.parameters}
    if training.weights == "lora":
        return weights | {"adapter": MASTER * trained_parameters(size, training)}
    return weights | ({"tuned weights": weights["weights"]} if tuned else {})


def _passing(size: ModelSize, computed: Computed) -> int:
    """Return the bytes of a token in the layer that is at work in a forward pass."""
    hidden, inner = PASSING
    return BYTES[computed] * (hidden * size.hidden + inner * size.intermediate)


def _saved(size: ModelSize, training: Training, computed: Computed, kind: Kind) -> int:
    """Return the bytes that a token leaves in one layer."""
    hidden, inner, keys = SAVED[training.weights, computed]
    found = hidden * size.hidden + inner * size.intermediate + keys * size.kv_heads * size.head_width
    if training.weights == "lora" and training.adapter.dropout > 0:
        hidden, inner = DROPPED[kind, computed]
        found += hidden * size.hidden + inner * size.intermediate
    return found


def largest_micro_batch(
    size: ModelSize,
    training: Training,
    computed: Computed,
    device: Device,
    most: int,
    *,
    length: int | None = None,
    base: BaseRead = NOT_READ,
) -> int | None:
    """Return the most records of a micro-batch that fit on a device, by halving `most`; None where not even one does.

    Args:
        size: the model.
        training: says what is trained, and how long records are.
        computed: what autocast computes in.
        device: where; on one that has the machine's memory, `most` is taken to fit.
        most: records that are wanted.
        length: tokens of the longest record; `training.max_length` if not given.
        base: what the loss reads of the base model.
    """
    if device.usable is None:
        return most
    tokens = _longest(size, training, length)
    while most >= 1:
        found = training_footprint(size, training, computed, most, tokens, base=base)
        if found.total <= device.usable:
            return most
        most //= 2
    return None


def refusal(
    title: str,
    size: ModelSize,
    training: Training,
    computed: Computed,
    device: Device,
    *,
    length: int | None = None,
    base: BaseRead = NOT_READ,
) -> str | None:
    """Return the sentence for training that does not fit on a device one record at a time; None where it does.

    Args:
        title: what the sentence calls the model.
        size: the model.
        training: says what is trained, and how long records are.
        computed: what autocast computes in.
        device: where.
        length: tokens of the longest record; `training.max_length` if not given.
        base: what the loss reads of the base model.
    """
    if largest_micro_batch(size, training, computed, device, 1, length=length, base=base):
        return None
    tokens = _longest(size, training, length)
    needed = training_footprint(size, training, computed, 1, tokens, base=base)
    what = "all weights" if training.weights == "full" else "an adapter"
    ways = _ways_out(size, training, computed, device, needed, tokens, base)
    return (
        f"training {what} of {title} takes {needed}, one record of {tokens} tokens at a time, and {device.name} has "
        f"{(device.usable or 0) / GB:.1f} GB for them: {ways}"
    )


def _ways_out(
    size: ModelSize,
    training: Training,
    computed: Computed,
    device: Device,
    needed: Footprint,
    tokens: int,
    base: BaseRead,
) -> str:
    """Return what makes the training fit, as the end of a sentence."""
    ways = []
    if training.weights == "full":
        adapted = training.model_copy(update={"weights": "lora"})
        if largest_micro_batch(size, adapted, computed, device, 1, length=tokens, base=base):
            ways.append("set training.weights to lora")
    if shorter := _fitting_length(size, training, computed, device, tokens, base):
        ways.append(f"lower training.max_length to {shorter}")
    larger = [one.name for one in DEVICES.values() if one.usable is not None and one.usable >= needed.total]
    ways.append(f"take a larger GPU ({', '.join(larger)})" if larger else "no GPU that is known here has room for it")
    return ", or ".join(ways)


def _fitting_length(
    size: ModelSize, training: Training, computed: Computed, device: Device, tokens: int, base: BaseRead
) -> int:
    """Return the most tokens, fewer than some that do not fit, of a record that does; 0 where none fits."""
    fits = 0
    too_long = tokens
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if largest_micro_batch(size, training, computed, device, 1, length=middle, base=base):
            fits = middle
        else:
            too_long = middle
    return fits


def _longest(size: ModelSize, training: Training, length: int | None) -> int:
    """Return the tokens of the longest record: none is longer than the model's positions."""
    return min(length or training.max_length, size.positions or training.max_length)
