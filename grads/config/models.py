"""The parts of the config that say which models there are, and how their prompts are written."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from grads.config.kinds import MODELS, in_order, union
from grads.config.section import Section, Shown
from grads.config.sources import Source

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


class Model(Section):
    """A model of the study."""

    title: Shown = Field(description="How tables call the model, with its quantisation.")
    source: ModelSource = Field(discriminator="kind", description="Where it comes from.")
    format: Format = Field(Format(), description="How its prompts are written, in training and evaluation alike.")


class Encoder(Section):
    """A sentence encoder, an alternative to the model's own hidden states as content embedding."""

    title: Shown = Field(description="How the encoder is called.")
    source: EncoderSource = Field(discriminator="kind", description="Where it comes from.")
