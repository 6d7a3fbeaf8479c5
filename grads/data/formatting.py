"""The one formatter: how a record becomes token ids, for probe, training and evaluation alike."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from jinja2 import TemplateError

from grads.data.records import Record
from grads.runtime.errors import GradsError
from grads.runtime.files import digest
from grads.study.config import Format

PLAIN_TEMPLATE = "### Instruction:\n{prompt}\n\n### Response:\n"
MARK = "grads\ue000answer"


@dataclass(frozen=True, slots=True)
class Example:
    """A record as a model sees it: `input_ids[:prompt_tokens]` is the prompt, the rest the response with its end.

    `earlier` are the spans (start, stop) of a conversation's earlier answers, inside the prompt, that carry loss too.
    """

    id: str
    input_ids: list[int]
    prompt_tokens: int
    truncated: bool = False
    earlier: tuple[tuple[int, int], ...] = ()

    @property
    def response_positions(self) -> list[int]:
        """Positions in `input_ids` of the tokens that carry loss, rising."""
        spans = (*self.earlier, (self.prompt_tokens, len(self.input_ids)))
        return [position for start, stop in spans for position in range(start, stop)]

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry loss."""
        return len(self.input_ids) - self.prompt_tokens + sum(stop - start for start, stop in self.earlier)


@dataclass(frozen=True)
class Tokenized:
    """The eligible examples of a list of records, in its order, and what became of the others."""

    examples: list[Example]
    over_length: int
    truncated: int


class Formatter:
    """Turns records into examples with one tokenizer and one template.

    A response is the answer's tokens and the end-of-turn token, nothing after it. Prompt and answer are tokenised
    apart, so the prompt's ids are a prefix of the example's, and the same that evaluation feeds to the model. The end
    of turn is the token that the chat template puts after an answer, which need not be the end of the sequence.
    """

    def __init__(self, tokenizer: Any, form: Format) -> None:
        self.tokenizer, self.form = tokenizer, form
        if form.template == "chat" and not tokenizer.chat_template:
            raise GradsError("the tokenizer has no chat template: set the model's format.template to 'plain'")
        self.end_id = self._end_id()

    def _end_id(self) -> int:
        end = self.tokenizer.eos_token_id
        if self.form.template == "chat":
            said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": MARK}]
            _, shown, after = self._rendered(said, prompt=False).rpartition(MARK)
            known = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
            found = (token for token in self._ids(after, special=False) if token in known)
            end = next(found, end) if shown else end
        if end is None:
            raise GradsError(
                "the tokenizer has no end-of-sequence token, which ends every answer: choose another model"
            )
        return end

    @property
    def sha256(self) -> str:
        """Hash of all that shapes a prompt, for manifests."""
        template = self.tokenizer.chat_template if self.form.template == "chat" else PLAIN_TEMPLATE
        return digest({"form": self.form.model_dump(), "template": template, "end": self.end_id})

    def prompt_text(self, record: Record) -> str:
        """Return the prompt as text, template and earlier turns included."""
        first, *others = self._parts(record)
        answers = [turn.content for turn in record.turns if turn.role == "assistant"]
        return first + "".join(answer + part for answer, part in zip(answers, others, strict=True))

    def prompt_ids(self, record: Record) -> list[int]:
        """Return the prompt's token ids; a chat template brings its own special tokens, so none are added to it."""
        return self._prompt(record)[0]

    def example(self, record: Record) -> Example:
        """Return the record's prompt and response as token ids."""
        prompt, earlier = self._prompt(record)
        return Example(
            record.id, [*prompt, *self._answer_ids(record.output), self.end_id], len(prompt), earlier=earlier
        )

    def _prompt(self, record: Record) -> tuple[list[int], tuple[tuple[int, int], ...]]:
        """Return the prompt's token ids, and the spans in it of earlier answers that carry loss, ends included."""
        first, *others = self._parts(record)
        ids, spans = self._ids(first, special=self.form.template == "plain"), []
        answers = [turn for turn in record.turns if turn.role == "assistant"]
        for turn, part in zip(answers, others, strict=True):
            start, after = len(ids), self._ids(part, special=False)
            ids = [*ids, *self._answer_ids(turn.content), *after]
            if self.end_id not in after:
                raise GradsError(
                    f"record {record.id}: the chat template does not end earlier answers like the last: set the "
                    "model's format.template to 'plain', or keep to records of one turn"
                )
            if turn.loss:
                spans.append((start, len(ids) - len(after) + after.index(self.end_id) + 1))
        return ids, tuple(spans)

    def _ids(self, text: str, special: bool) -> list[int]:
        return self.tokenizer(text, add_special_tokens=special)["input_ids"]

    def _answer_ids(self, answer: str) -> list[int]:
        # An answer that spells out the end-of-turn token must not end there.
        return self.tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _parts(self, record: Record) -> list[str]:
        """Return the prompt's text in the parts that stand before, between and after its earlier answers."""
        if self.form.template == "plain":
            return self._plain_parts(record)
        # Placeholders stand in for the answers, which are tokenised apart, and which a template may trim.
        marks = {number: f"{MARK}{number}." for number, turn in enumerate(record.turns) if turn.role == "assistant"}
        said = [
            {"role": turn.role, "content": marks.get(number, turn.content)} for number, turn in enumerate(record.turns)
        ]
        text = self._rendered([*said, {"role": "user", "content": record.question}], prompt=True)
        parts = []
        for mark in marks.values():
            if text.count(mark) != 1:
                raise GradsError(
                    f"record {record.id}: the chat template does not show each earlier answer once: set the model's "
                    "format.template to 'plain', or keep to records of one turn"
                )
            before, _, text = text.partition(mark)
            parts.append(before)
        return [*parts, text]

    def _rendered(self, said: list[dict[str, str]], prompt: bool) -> str:
        """Return a conversation as text, below the config's system prompt if it has none of its own.

        An empty system prompt is left out where the template refuses it: some know no such turn.
        """
        system = [] if said[0]["role"] == "system" else [{"role": "system", "content": self.form.system}]
        refusal = None
        for messages in [[*system, *said], said] if system and not self.form.system else [[*system, *said]]:
            try:
                return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            except TemplateError as error:
                refusal = error
            except Exception as error:  # A template is a program that came with the model: it may raise anything.
                raise GradsError(
                    f"the model's chat template fails on a conversation ({type(error).__name__}: {error}): correct it, "
                    "or set the model's format.template to 'plain'"
                ) from None
        raise GradsError(
            f"the model's chat template refuses a conversation ({refusal}): take the system prompt out of the config "
            "or the records, or set the model's format.template to 'plain'"
        )

    def _plain_parts(self, record: Record) -> list[str]:
        parts, before = [], f"{self.form.system}\n\n" if self.form.system else ""
        for turn in record.turns:
            if turn.role == "system":
                before = f"{turn.content}\n\n"
            elif turn.role == "user":
                parts.append(before + PLAIN_TEMPLATE.format(prompt=turn.content))
                before = f"{self.tokenizer.decode([self.end_id])}\n\n"
        return [*parts, before + PLAIN_TEMPLATE.format(prompt=record.question)]

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
                kept.append(replace(example, input_ids=example.input_ids[:max_length], truncated=True))
        return Tokenized(kept, dropped, truncated)
