"""The part of the config that says how models are fine-tuned: `training`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from grads.config.section import Precision, Section, Text

Targets = Literal["all-linear"] | Annotated[list[Text], Field(min_length=1)]


class Adapter(Section):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of the named linear layers."""

    rank: int = Field(16, ge=1, description="Rank of the update of each layer.")
    alpha: float = Field(32.0, gt=0, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's inputs dropped in training.")
    targets: Targets = Field(
        "all-linear", description="Names of linear layers, such as `[q_proj, v_proj]`; or all but the LM head."
    )


class Training(Section):
    """Fine-tuning, shared by all arms; where an arm or its strategy departs from it, tables say so."""

    weights: Literal["lora", "full"] = Field("lora", description="Train a LoRA adapter, or all weights.")
    adapter: Adapter = Field(Adapter(), description="Shape of the adapter; read when `weights` is `lora`.")
    epochs: int = Field(2, ge=1, le=10_000, description="Visits of each record; a smaller subset takes fewer steps.")
    global_batch: int = Field(8, ge=1, description="Records per optimiser step; the micro-batch is the machine's.")
    learning_rate: float = Field(2.0e-4, gt=0, description="Peak rate of AdamW; write 2.0e-4, YAML reads 2e-4 as text.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with rising rate, before the cosine.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of a step are scaled down to this l2 norm.")
    max_length: int = Field(512, ge=8, le=10_000_000, description="Tokens of prompt and response together.")
    over_length: Literal["drop", "truncate"] = Field(
        "drop",
        description="What happens to longer training and validation records: `drop` leaves them out, `truncate` cuts "
        "their answers; both are counted. A record whose prompt alone is too long is left out either way, a test "
        "record too.",
    )
    precision: Precision = Field(
        "auto",
        description="Autocast type; what is trained is held in float32 either way. `auto`: bf16 on a GPU or processor "
        "that computes in it (AVX-512 bf16, AMX, Arm bf16), float32 elsewhere, where bf16 is many times slower.",
    )
    engine: Literal["fast", "reference"] = Field(
        "fast",
        description="What computes the steps. `reference`: the plain modules of transformers and PEFT on padded "
        "batches, for comparisons; the steps, their records and their mean loss are the same.",
    )
    checkpointing: Literal["auto", "never", "always"] = Field(
        "auto",
        description="Gradient checkpointing: a layer's activations are computed again in the backward pass instead of "
        "held, which takes less memory and a third more time. `auto`: where memory runs out on one record at a time.",
    )


def departures(shared: Training, own: Training) -> dict[str, str]:
    """Return where a run's settings are others than the study's: by key, `<value> for <the study's>`."""
    theirs = _flat(shared.model_dump(mode="json"))
    return {
        key: f"{_shown(value)} for {_shown(theirs[key])}"
        for key, value in _flat(own.model_dump(mode="json")).items()
        if value != theirs[key]
    }


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    adapter = {f"adapter.{key}": value for key, value in settings["adapter"].items()}
    return {key: value for key, value in settings.items() if key != "adapter"} | adapter


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(value) if isinstance(value, list) else str(value)
