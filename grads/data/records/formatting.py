"""The one formatter: how a record becomes token ids, for probe, training and evaluation alike."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tokenizers.processors import TemplateProcessing

from grads.config.models import Format
from grads.data.passes import Lengths
from grads.data.records.chat_templates import (
    PLAIN_TEMPLATE,
    Answer,
    ChatTemplate,
    PlainTemplate,
    Rendering,
    Template,
    conversation,
)
from grads.data.records.record import Record, Turn
from grads.runtime.errors import GradsError
from grads.runtime.files import digest

# Answers that begin in different ways: the tokens that both have in common are those of the prompt.
STAND_INS = ("A", "9")


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


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids, and the spans in it of earlier answers that carry loss, ends included."""

    ids: list[int]
    earlier: tuple[tuple[int, int], ...] = ()


class Formatter:
    """Turns records into examples with one tokenizer and one template.

    With a chat template an example is what `apply_chat_template` gives for the whole conversation, up to the end of
    its last turn: as text, and as token ids. The prompt is all of it in front of the last answer, so that what the
    template puts there (an empty thinking block, a channel header) stands in training and in evaluation. The response
    is the answer's tokens and the end-of-turn token, nothing after it. The prompt's ids are a prefix of the example's
    and do not depend on the answer: where a token would join the prompt's end with some answer's beginning, it is left
    to the response.

    The end of turn is the token that the chat template puts after an answer, which need not be the end of the
    sequence; where it puts none, and in the plain template, it is the tokenizer's end-of-sequence token.
    """

    def __init__(self, tokenizer: Any, form: Format) -> None:
        self.tokenizer = tokenizer
        self.form = form
        chat = form.template == "chat"
        self.template: Template = ChatTemplate(tokenizer, form) if chat else PlainTemplate(form)
        self.beginning = [] if chat else beginning_ids(tokenizer)
        self._special_texts = [text for text in tokenizer.all_special_tokens if text.strip()]
        self.end_id = self._end_id()

    def _end_id(self) -> int:
        question = [Turn("user", "Q"), Turn("assistant", "A", loss=True)]
        (answer,) = self.template.render(question, "the model").answers
        end = self._ids(answer.closing)[-1] if answer.closing else self.tokenizer.eos_token_id
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
        return self._render(record).prompt

    def prompt_ids(self, record: Record) -> list[int]:
        """Return the prompt's token ids; a chat template brings its own special tokens, so none are added to it."""
        return self._prompt(self._render(record)).ids

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return, as text, what stands in front of the answer to messages that end with the user's.

        Args:
            messages: `role` and `content` of each.
        """
        turns = [Turn(message["role"], message["content"]) for message in messages]
        return self.template.render([*turns, Turn("assistant", STAND_INS[0])], "a prompt").prompt

    def example(self, record: Record) -> Example:
        """Return the record's prompt and response as token ids.

        Raises:
            GradsError: the chat template loses or alters a part of the record.
        """
        rendering = self._render(record)
        prompt = self._prompt(rendering)
        response = self._response(rendering, prompt)
        return Example(record.id, [*prompt.ids, *response], len(prompt.ids), earlier=prompt.earlier)

    def _render(self, record: Record) -> Rendering:
        return self.template.render(conversation(record), f"record {record.id}")

    def _prompt(self, rendering: Rendering) -> Prompt:
        earlier = rendering.answers[:-1]
        if self.form.template == "chat" and not any(self._spells_special(rendering, answer) for answer in earlier):
            whole = self._whole_prompt(rendering)
            if whole is not None:
                return whole
        return self._joined_prompt(rendering)

    def _whole_prompt(self, rendering: Rendering) -> Prompt | None:
        """Return the prompt tokenised in one piece, None where an earlier answer's tokens run over its ends."""
        ids = self._before_answer(rendering.prompt)
        spans = []
        for answer in rendering.answers[:-1]:
            if not answer.loss:
                continue
            before = self._before_answer(rendering.text[: answer.start])
            through = self._ids(rendering.text[: answer.stop] + (answer.closing or ""))
            if ids[: len(before)] != before or ids[: len(through)] != through:
                return None
            spans.append((len(before), len(through)))
        return Prompt(ids, tuple(spans))

    def _joined_prompt(self, rendering: Rendering) -> Prompt:
        """Return the prompt tokenised in pieces, earlier answers on their own.

        An answer that spells out the end-of-turn token must not end there.
        """
        ids = list(self.beginning)
        spans = []
        position = 0
        for answer in rendering.answers[:-1]:
            ids += self._ids(rendering.text[position : answer.start])
            start = len(ids)
            ids += self._answer_ids(rendering, answer)
            position = answer.stop + len(answer.closing or "")
            if answer.loss:
                spans.append((start, len(ids)))
        last = rendering.text[position : rendering.answers[-1].start]
        ids += self._before_answer(last) if self.form.template == "chat" else self._ids(last)
        return Prompt(ids, tuple(spans))

    def _response(self, rendering: Rendering, prompt: Prompt) -> list[int]:
        answer = rendering.answers[-1]
        ending = [] if answer.closing else [self.end_id]
        if self.form.template == "chat" and not self._spells_special(rendering, answer):
            whole = self._ids(rendering.text[: answer.stop] + (answer.closing or ""))
            if whole[: len(prompt.ids)] == prompt.ids:
                return [*whole[len(prompt.ids) :], *ending]
        return [*self._answer_ids(rendering, answer), *ending]

    def _answer_ids(self, rendering: Rendering, answer: Answer) -> list[int]:
        """Return the ids of an answer and of what closes it; special tokens that the answer spells out are text."""
        text = rendering.text[answer.start : answer.stop]
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids, *self._ids(answer.closing or "")]

    def _spells_special(self, rendering: Rendering, answer: Answer) -> bool:
        text = rendering.text[answer.start : answer.stop]
        return any(special in text for special in self._special_texts)

    def _before_answer(self, text: str) -> list[int]:
        """Return the tokens of a text that stay the same whatever answer follows it."""
        one, other = (self._ids(text + answer) for answer in STAND_INS)
        common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        # A vocabulary that knows neither of the answers cannot tell them apart.
        return self._ids(text) if common is None else one[:common]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

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


def token_counts(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    """Return how many examples have how many tokens: `prompts`, `responses` and whole `examples`, as JSON values."""
    whole = list(examples)
    parts = {
        "prompts": Lengths.of(example.prompt_tokens for example in whole),
        "responses": Lengths.of(example.response_tokens for example in whole),
        "examples": Lengths.of(len(example.input_ids) for example in whole),
    }
    return {name: lengths.as_json() for name, lengths in parts.items()}


def beginning_ids(tokenizer: Any) -> list[int]:
    """Return the special tokens that a tokenizer puts in front of a text."""
    return _around(tokenizer)[0]


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a running text: the tokenizer's beginning token in front, no end token."""
    return [*beginning_ids(tokenizer), *tokenizer(text, add_special_tokens=False)["input_ids"]]


def without_end_token(tokenizer: Any) -> Any:
    """Return the tokenizer, or a copy of it that no longer puts an end token after each text, if it does.

    Such a token would stand between a prompt and its answer wherever others call the tokenizer.
    """
    beginning, ending = _around(tokenizer)
    if not ending:
        return tokenizer
    changed = copy.deepcopy(tokenizer)
    names = tokenizer.convert_ids_to_tokens(beginning)
    changed.backend_tokenizer.post_processor = TemplateProcessing(
        single=[*names, "$A"],
        pair=[*names, "$A", "$B"],
        special_tokens=list(zip(names, beginning, strict=True)),
    )
    return changed


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts in front of a text and after it."""
    text = STAND_INS[0]
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer(text)["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise GradsError("the tokenizer's special tokens change the tokens of a text: choose another model")
