"""The examples that contestants go over, as JSON lines: real records under two templates, and synthetic ones."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from grads.config.models import Format
from grads.config.study import Study
from grads.data.prepare import domain_records
from grads.data.records.formatting import Example, Formatter
from grads.data.records.layouts import read_records
from grads.data.records.record import Record
from grads.data.sources.archives import fetch
from grads.probing.encoder import text_of
from grads.runtime.errors import GradsError
from grads.runtime.files import write_jsonl

LAYOUTS: tuple[Literal["plain", "chat"], ...] = ("plain", "chat")
LONGEST = 512
DOWNLOADS = Path("resources/pypi")


@dataclass(frozen=True, slots=True)
class Item(Example):
    """An example, and its record's text for a sentence encoder."""

    text: str = ""


def glossary(study: Study, scratch: Path) -> list[Record]:
    """Return the records of the demonstration's domain `medicine`: define-the-term questions from WordNet."""
    domain = study.domains["medicine"]
    archive = domain.source.archive_key
    assert archive is not None
    return domain_records(domain, {archive: fetch(study.archives[archive], DOWNLOADS)}, scratch)[0]


def medquad(path: Path) -> list[Record]:
    """Return the records of a file of question-answer pairs."""
    return read_records(path)[0]


def layouts(records: Sequence[Record], tokenizer: Any, count: int, seed: int = 0) -> dict[str, list[Item]]:
    """Return the same `count` records under each template, drawn by `seed` from those of at most 512 tokens under all.

    Raises:
        GradsError: there are not so many.
    """
    formatters = {layout: Formatter(tokenizer, Format(template=layout)) for layout in LAYOUTS}
    found: dict[str, list[Item]] = {layout: [] for layout in LAYOUTS}
    for record in random.Random(seed).sample(records, len(records)):
        if len(found[LAYOUTS[0]]) == count:
            return found
        examples = {layout: one.tokenize([record], LONGEST, "drop").examples for layout, one in formatters.items()}
        if all(examples.values()):
            for layout, (one,) in examples.items():
                found[layout].append(Item(one.id, one.input_ids, one.prompt_tokens, text=text_of(record)))
    if len(found[LAYOUTS[0]]) < count:
        fitting = len(found[LAYOUTS[0]])
        raise GradsError(f"only {fitting} records have at most {LONGEST} tokens: ask for fewer with --records")
    return found


def synthetic(count: int, tokens: int, vocabulary: int, seed: int = 0) -> list[Item]:
    """Return examples of random token ids, a quarter of each its prompt."""
    draw = random.Random(seed)
    return [
        Item(f"{number:06d}", [draw.randrange(vocabulary) for _ in range(tokens)], max(1, tokens // 4))
        for number in range(count)
    ]


def write_items(items: Iterable[Item], path: Path) -> Path:
    """Write examples to a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, [asdict(item) for item in items])
    return path


def tokens_of(items: Iterable[Item]) -> int:
    """Return the number of tokens of examples, without padding."""
    return sum(len(item.input_ids) for item in items)


def read_items(rows: Iterable[dict[str, Any]]) -> list[Item]:
    """Return examples from the objects of such a file."""
    return [Item(**row | {"earlier": ()}) for row in rows]
