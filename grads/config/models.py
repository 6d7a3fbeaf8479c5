"""The parts of the config that say which models there are, and how their prompts are written."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from grads.config.general import InstructionSource
from grads.config.kinds import MODELS, in_order, union
from grads.config.section import LEAVE, RecordField, Section, Shown
from grads.config.sources import Source
from grads.config.training import Epochs, GlobalBatch, LearningRate, MaxLength, Training

if TYPE_CHECKING:
    ModelSource = Source
    EncoderSource = Source
else:
    ModelSource = union(in_order(MODELS))
    EncoderSource = union(kind for kind in in_order(MODELS) if kind.prepare_encoder)

# Arguments of `apply_chat_template` that say what it returns, not what it renders.
OWN_ARGUMENTS = {
    "add_generation_prompt",
    "continue_final_message",
    "conversation",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tokenizer_kwargs",
    "truncation",
}


class Format(Section):
    """How a record becomes a prompt: the model's chat template, or a plain one where it has none."""

    template: Literal["chat", "plain"] = Field(
        "chat", description="`chat`: the tokenizer's own template. `plain`: instruction, input and answer in blocks."
    )
    system: str | None = Field(
        None,
        description="System prompt for records without one of their own. Left out: no system message is added, and a "
        'template\'s own default stays. `""`: an empty system message. `plain` puts it before the instruction.',
    )
    template_arguments: dict[str, Any] = Field(
        {},
        description="Variables that the chat template reads, such as `{enable_thinking: false}`; `chat_template` names "
        "one of several templates.",
    )

    @model_validator(mode="after")
    def _arguments_are_the_templates(self) -> "Format":
        if self.template == "plain" and self.template_arguments:
            raise ValueError("'template_arguments' are read by chat templates only; take them away")
        for name in sorted(OWN_ARGUMENTS & set(self.template_arguments)):
            raise ValueError(f"'template_arguments' has '{name}', which is not the template's to read; take it away")
        return self


class Skill(Section):
    """What a model is taught before the study begins, as a positive control: what it surely knows, it can forget.

    All of its weights are trained, in float32; records that are too long are dropped. The model that comes out is the
    one that the study calls untuned, that every arm starts from, and that drift is measured against. A general
    benchmark over the same records says what becomes of the skill.
    """

    source: InstructionSource = Field(discriminator="kind", description="Where the records come from.")
    fields: dict[RecordField, str] = Field({}, description="Our name of a field to the data's own, where they differ.")
    leave: list[str] = Field([], description=LEAVE)
    records: int = Field(ge=1, description="Records that it is taught, drawn with `seed`.")
    epochs: Epochs = 20
    global_batch: GlobalBatch = 8
    learning_rate: LearningRate = 1.0e-4
    max_length: MaxLength = 128
    seed: int = Field(0, description="Draws the records and their order; the same for all seeds of the study.")

    def training(self, study: Training) -> Training:
        """Return the settings of its training, which is computed as the study's is.

        Args:
            study: the study's section.
        """
        own = {name: value for name, value in self if name in Training.model_fields}
        computing = {name: getattr(study, name) for name in ("precision", "engine", "checkpointing")}
        return Training(weights="full", **own, **computing)


class Model(Section):
    """A model of the study."""

    title: Shown = Field(description="How tables call the model, with its quantisation.")
    source: ModelSource = Field(discriminator="kind", description="Where it comes from.")
    format: Format = Field(Format(), description="How its prompts are written, in training and evaluation alike.")
    taught: Skill | None = Field(
        None, description="A skill that it is taught before the study begins, to see whether the study takes it away."
    )


class Encoder(Section):
    """A sentence encoder, an alternative to the model's own hidden states as content embedding."""

    title: Shown = Field(description="How the encoder is called.")
    source: EncoderSource = Field(discriminator="kind", description="Where it comes from.")
