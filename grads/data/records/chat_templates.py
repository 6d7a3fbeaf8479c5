"""How a conversation becomes text: the model's chat template, or a plain one for models without.

The truth of a chat template is its own rendering of the messages. Where question and answer stand in it is found with
a second rendering of a conversation of the same shape, whose contents are marks: the text between the marks is the
template's own, and it must stand in the true rendering as well.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import TemplateSyntaxError

from grads.config.models import Format
from grads.data.records.record import SYSTEM_ROLES, Record, Turn
from grads.runtime.errors import GradsError

PLAIN_TEMPLATE = "### Instruction:\n{prompt}\n\n### Response:\n"
BETWEEN_TURNS = "\n\n"
ROLE_NAMES = {"system": "system prompt", "developer": "developer message", "user": "question", "assistant": "answer"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Where an answer stands in a rendering: `text[start:stop]`; `closing` is what the template ends it with.

    `closing` reaches to the first special token after the answer, which is the end of turn; it is None where the
    template puts none there.
    """

    start: int
    stop: int
    closing: str | None
    loss: bool


@dataclass(frozen=True, slots=True)
class Rendering:
    """A conversation as text, and its answers in their order; the last one is the record's own."""

    text: str
    answers: tuple[Answer, ...]

    @property
    def prompt(self) -> str:
        """What stands in front of the last answer."""
        return self.text[: self.answers[-1].start]


class Template(Protocol):
    """Renders conversations."""

    def render(self, turns: Sequence[Turn], whose: str) -> Rendering:
        """Return the rendering of a conversation that ends with an answer; `whose` opens error messages."""
        ...


def conversation(record: Record) -> list[Turn]:
    """Return all turns of a record: what came before, its question, and its answer."""
    return [*record.turns, Turn("user", record.question), Turn("assistant", record.output, loss=True)]


class PlainTemplate:
    """Instruction and answer in blocks, for models without a chat template."""

    def __init__(self, form: Format) -> None:
        self.system = form.system or ""

    def render(self, turns: Sequence[Turn], whose: str) -> Rendering:
        """Return the rendering: a system prompt first, then blocks; the answers have no end of their own."""
        text = f"{self.system}\n\n" if self.system else ""
        answers = []
        for turn in turns:
            if turn.role in SYSTEM_ROLES:
                text = f"{turn.content}\n\n"
            elif turn.role == "user":
                text += PLAIN_TEMPLATE.format(prompt=turn.content)
            else:
                start = len(text)
                text += turn.content
                answers.append(Answer(start, len(text), None, turn.loss))
                text += BETWEEN_TURNS
        return Rendering(text.removesuffix(BETWEEN_TURNS), tuple(answers))


@dataclass(frozen=True)
class Skeleton:
    """What a template writes around the contents of a conversation of one shape.

    Attributes:
        order: indices of the messages, in the order in which their contents stand in the text.
        fixed: the template's text before each of these, and after the last one.
    """

    order: tuple[int, ...]
    fixed: tuple[str, ...]


class ChatTemplate:
    """A tokenizer's own chat template.

    We add no system message: a template's default stays, unless the record has a system turn or the config a system
    prompt (an empty one asks for an empty turn).
    """

    def __init__(self, tokenizer: Any, form: Format) -> None:
        if not tokenizer.chat_template:
            raise GradsError("the tokenizer has no chat template: set the model's format.template to 'plain'")
        named = form.template_arguments.get("chat_template")
        if isinstance(tokenizer.chat_template, Mapping) and named is None and "default" not in tokenizer.chat_template:
            several = ", ".join(sorted(tokenizer.chat_template))
            raise GradsError(
                f"the tokenizer has several chat templates ({several}) and none is called 'default': name one in the "
                "model's format.template_arguments, as {chat_template: NAME}"
            )
        self.tokenizer = tokenizer
        self.form = form
        self._skeletons: dict[tuple[tuple[str, bool], ...], Skeleton] = {}
        names = {token.content for token in tokenizer.added_tokens_decoder.values()} | {*tokenizer.all_special_tokens}
        special = sorted(filter(str.strip, names), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special))) if special else None
        self._content_parts = self._wants_parts()

    def _wants_parts(self) -> bool:
        """Return whether contents must be lists of parts, as some templates of multimodal models want them."""
        shape = [Turn("user", "Q"), Turn("assistant", "A")]
        self._content_parts = False
        try:
            self._skeleton(shape, "the model")
        except GradsError as refusal:
            self._content_parts = True
            try:
                self._skeleton(shape, "the model")
            except GradsError:
                raise refusal from None
        return self._content_parts

    def render(self, turns: Sequence[Turn], whose: str) -> Rendering:
        """Return the template's own rendering, and where the answers stand in it.

        Raises:
            GradsError: the template refuses the conversation, or loses or alters one of its messages.
        """
        turns = self._with_system(turns)
        text = self._apply(turns, whose)
        skeleton = self._skeleton(turns, whose)
        starts: dict[int, int] = {}
        stops: dict[int, int] = {}
        position = 0
        for number, index in enumerate(skeleton.order):
            before = skeleton.fixed[number]
            after = skeleton.fixed[number + 1]
            shown = None
            if text.startswith(before, position):
                position += len(before)
                shown = _shown(turns[index].content, text, position, after, last=number + 1 == len(skeleton.order))
            if shown is None:
                raise self._altered(turns, index, whose)
            starts[index] = position
            position += len(shown)
            stops[index] = position
        answers = []
        for number, index in enumerate(skeleton.order):
            if turns[index].role == "assistant":
                closing = self._closing(skeleton.fixed[number + 1])
                answers.append(Answer(starts[index], stops[index], closing, turns[index].loss))
        return Rendering(text, tuple(answers))

    def _with_system(self, turns: Sequence[Turn]) -> list[Turn]:
        if turns[0].role in SYSTEM_ROLES or self.form.system is None:
            return list(turns)
        return [Turn("system", self.form.system), *turns]

    def _closing(self, fixed: str) -> str | None:
        end = self._special.search(fixed) if self._special else None
        return fixed[: end.end()] if end else None

    def _skeleton(self, turns: Sequence[Turn], whose: str) -> Skeleton:
        # A message without content gets no mark: templates may ask whether there is one.
        shape = tuple((turn.role, bool(turn.content)) for turn in turns)
        if shape not in self._skeletons:
            self._skeletons[shape] = self._make_skeleton(turns, whose)
        return self._skeletons[shape]

    def _make_skeleton(self, turns: Sequence[Turn], whose: str) -> Skeleton:
        marks = {index: f"gradsmark{index}x" for index, turn in enumerate(turns) if turn.content}
        marked = [Turn(turn.role, marks.get(index, ""), turn.loss) for index, turn in enumerate(turns)]
        text = self._apply(marked, whose)
        for index, mark in marks.items():
            times = text.count(mark)
            if times != 1:
                raise GradsError(
                    f"{whose}: the chat template {'shows' if times else 'loses'} {_name(turns, index)}"
                    f"{f' {times} times' if times else ''}: set the model's format.template to 'plain', or "
                    "keep to records without it"
                )
        order = tuple(sorted(marks, key=lambda index: text.index(marks[index])))
        fixed = []
        for index in order:
            before, _, text = text.partition(marks[index])
            fixed.append(before)
        return Skeleton(order, (*fixed, text))

    def _apply(self, turns: Sequence[Turn], whose: str) -> str:
        messages = [{"role": turn.role, "content": self._content(turn.content)} for turn in turns]
        try:
            return self.tokenizer.apply_chat_template(messages, tokenize=False, **self.form.template_arguments)
        except TemplateSyntaxError as error:
            raise GradsError(
                f"the model's chat template cannot be read ({error}): correct it in the tokenizer's files, or set "
                "the model's format.template to 'plain'"
            ) from None
        except Exception as error:  # A template is a program of its makers: it may raise anything.
            raise GradsError(
                f"{whose}: the chat template refuses a conversation of {_roles(turns)} ({error}): leave out "
                "what it does not know (format.system, say), or set the model's format.template to 'plain'"
            ) from None

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self._content_parts else text

    def _altered(self, turns: Sequence[Turn], index: int, whose: str) -> GradsError:
        return GradsError(
            f"{whose}: the chat template alters {_name(turns, index)}: it is not in the prompt as it was written; "
            "correct the record, or set the model's format.template to 'plain'"
        )


def _shown(content: str, text: str, position: int, after: str, last: bool) -> str | None:
    """Return what stands of a content in the text: the whole, or without outer white space; None for neither."""
    for shown in (content, content.strip(), content.lstrip(), content.rstrip()):
        if text.startswith(shown, position):
            rest = position + len(shown)
            if text[rest:] == after if last else text.startswith(after, rest):
                return shown
    return None


def _name(turns: Sequence[Turn], index: int) -> str:
    """Return what a message is called in errors."""
    name = ROLE_NAMES.get(turns[index].role, turns[index].role)
    several = sum(turn.role == turns[index].role for turn in turns) > 1
    return f"the {name} in turn {index + 1}" if several else f"the {name}"


def _roles(turns: Sequence[Turn]) -> str:
    return ", ".join(turn.role for turn in turns[:6]) + (", ..." if len(turns) > 6 else "")
