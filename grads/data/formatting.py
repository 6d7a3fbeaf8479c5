"""The one formatter: how a record becomes token ids, for probe, training and evaluation alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from grads.data.records import Record
from grads.runtime.errors import GradsError
from grads.runtime.files import digest
from grads.study.config import Format

PLAIN_TEMPLATE = "### Instruction:\n{prompt}\n\n### Response:\n"


@dataclass(frozen=True, slots=True)
class Example:
    """A record as a model sees it: `input_ids[:prompt_tokens]` is the prompt, the rest the response with its end."""

    id: str
    input_ids: list[int]
    prompt_tokens: int
    truncated: bool = False

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry loss."""
        return len(self.input_ids) - self.prompt_tokens


@dataclass(frozen=True)
class Tokenized:
    """The eligible examples of a list of records, in its order, and what became of the others."""

    examples: list[Example]
    over_length: int
    truncated: int


class Formatter:
    """Turns records into examples with one tokenizer and one template.

    The response is the answer's tokens and the end-of-turn token, nothing after it. Prompt and answer are tokenised
    apart, so the prompt's ids are a prefix of the example's, and the same that evaluation feeds to the model.
    """

    def __init__(self, tokenizer: Any, form: Format) -> None:
        self.tokenizer, self.form = tokenizer, form
        if form.template == "chat" and not tokenizer.chat_template:
            raise GradsError("the tokenizer has no chat template: set the model's format.template to 'plain'")
        if tokenizer.eos_token_id is None:
            raise GradsError(
                "the tokenizer has no end-of-sequence token, which ends every answer: choose another model"
            )

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return self.tokenizer.eos_token_id

    @property
    def sha256(self) -> str:
        """Hash of all that shapes a prompt, for manifests."""
        template = self.tokenizer.chat_template if self.form.template == "chat" else PLAIN_TEMPLATE
        return digest({"form": self.form.model_dump(), "template": template, "end": self.end_id})

    def prompt_text(self, record: Record) -> str:
        """Return the prompt as text, template included."""
        question = f"{record.instruction}\n\n{record.input}" if record.input else record.instruction
        if self.form.template == "plain":
            return PLAIN_TEMPLATE.format(prompt=question)
        messages = [{"role": "system", "content": self.form.system}, {"role": "user", "content": question}]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def prompt_ids(self, record: Record) -> list[int]:
        """Return the prompt's token ids; a chat template brings its own special tokens, so none are added to it."""
        plain = self.form.template == "plain"
        return self.tokenizer(self.prompt_text(record), add_special_tokens=plain)["input_ids"]

    def example(self, record: Record) -> Example:
        """Return the record's prompt and response as token ids."""
        prompt = self.prompt_ids(record)
        # An answer that spells out the end-of-turn token must not end there.
        options = {"add_special_tokens": False, "split_special_tokens": True}
        answer = self.tokenizer(record.output, **options)["input_ids"]
        return Example(record.id, [*prompt, *answer, self.end_id], len(prompt))

    def tokenize(
        self, records: Iterable[Record], max_length: int, over_length: Literal["drop", "truncate"]
    ) -> Tokenized:
        """Return the examples of at most `max_length` tokens.

        Longer ones are dropped, or cut at the end of the response; one whose prompt alone fills `max_length` is
        dropped either way, for nothing of its response would be left.
        """
        kept: list[Example] = []
        dropped = truncated = 0
        for record in records:
            example = self.example(record)
            if len(example.input_ids) <= max_length:
                kept.append(example)
            elif over_length == "drop" or example.prompt_tokens >= max_length:
                dropped += 1
            else:
                truncated += 1
                kept.append(Example(record.id, example.input_ids[:max_length], example.prompt_tokens, truncated=True))
        return Tokenized(kept, dropped, truncated)
