"""The part of the config that says how models are fine-tuned: `training`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from grads.config.section import Precision, Section, Text

# Keys that more than one section has: what each may be and what it means is written here alone.
Rank = Annotated[int, Field(ge=1, description="Rank of the update of each layer.")]
Alpha = Annotated[float, Field(gt=0, description="The update is scaled by alpha / rank.")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Share of an adapter's inputs dropped in training.")]
Targets = Annotated[
    Literal["all-linear"] | Annotated[list[Text], Field(min_length=1)],
    Field(description="Names of linear layers, such as `[q_proj, v_proj]`; or all but the LM head."),
]
Epochs = Annotated[int, Field(ge=1, le=10_000, description="Visits of each record; fewer records take fewer steps.")]
GlobalBatch = Annotated[int, Field(ge=1, description="Records per optimiser step; the micro-batch is the machine's.")]
LearningRate = Annotated[float, Field(gt=0, description="Peak rate of AdamW; write 2.0e-4, YAML reads 2e-4 as text.")]
WarmupShare = Annotated[float, Field(ge=0, lt=1, description="Share of the steps with rising rate, before the cosine.")]
WeightDecay = Annotated[float, Field(ge=0, description="Decoupled weight decay of AdamW.")]
MaxLength = Annotated[int, Field(ge=8, le=10_000_000, description="Tokens of prompt and response together.")]


class Adapter(Section):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of the named linear layers."""

    rank: Rank = 16
    alpha: Alpha = 32.0
    dropout: Dropout = 0.0
    targets: Targets = "all-linear"


class Training(Section):
    """Fine-tuning, shared by all arms; where an arm or its strategy departs from it, tables say so."""

    weights: Literal["lora", "full"] = Field("lora", description="Train a LoRA adapter, or all weights.")
    adapter: Adapter = Field(Adapter(), description="Shape of the adapter; read when `weights` is `lora`.")
    epochs: Epochs = 2
    global_batch: GlobalBatch = 8
    learning_rate: LearningRate = 2.0e-4
    warmup: WarmupShare = 0.05
    weight_decay: WeightDecay = 0.0
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of a step are scaled down to this l2 norm.")
    max_length: MaxLength = 512
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
    # It shapes no result, and so is in no job's settings: they are dumps of this section.
    tensorboard: bool = Field(
        False,
        exclude=True,
        description="Write curves for TensorBoard while a run goes on, to `tensorboard` in its folder. It needs the "
        "package `tensorboard`, trains nothing again, and finished runs get none.",
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
