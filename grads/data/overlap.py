"""Overlap: items of one collection that share a question, or eight words in a row, with items of another.

Texts are compared as lower-cased words; a character of Chinese or Japanese, which has no spaces, counts as half of one.
Eight words in a row that stand in more than ten items are a turn of phrase, such as an instruction that a data set
repeats, and count for nothing; these numbers are ours. Questions are compared whole, however common. Time and memory
are linear in the text.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from grads.data.benchmark_items import item_texts
from grads.data.compared_words import HALF, ONE_WORD, WORDS_IN_A_ROW
from grads.data.records.record import Record
from grads.runtime.files import read_jsonl, reading

MOST_ITEMS = 10
MOST_EXAMPLES = 3
# Who must not have seen whom: each kind against those after it.
KINDS = ("train", "validation", "test", "general")
Index = dict[str, list[tuple[str, str]]]  # words to the collection and the item that they stand in


@dataclass(frozen=True)
class Item:
    """A record or benchmark item: its question, and all texts in which words in a row are looked for."""

    id: str
    question: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Collection:
    """Items that belong together, such as the training records of a domain; `kind` is one of `KINDS`."""

    name: str
    kind: str
    items: Sequence[Item]


@dataclass
class Overlap:
    """What a collection shares with another: its own items with an equal question, and with eight words in a row.

    `touched` are the items of the other that it shares something with; `examples` name a pair and what it shares.
    """

    of: Collection
    against: Collection
    exact: set[str] = field(default_factory=set)
    in_a_row: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    examples: list[dict[str, str]] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Items of the first collection that share anything."""
        return self.exact | self.in_a_row

    def note(self, item: Item, other: str, shared: str, exact: bool) -> None:
        """Count one pair of items."""
        if item.id not in self.ids and len(self.examples) < MOST_EXAMPLES:
            self.examples.append({"id": item.id, "other": other, "shared": shared})
        (self.exact if exact else self.in_a_row).add(item.id)
        self.touched.add(other)


def record_item(record: Record) -> Item:
    """Return a record as an item; of a conversation, the first question counts, and all turns are looked into."""
    said = (turn.content for turn in record.turns)
    return Item(record.id, record.opening, (*said, record.instruction, record.input, record.output, *record.references))


def choice_item(number: int, row: Mapping[str, Any]) -> Item:
    """Return a sampled item: question below its passage, and the right choice or written answer.

    Of an item in a format of its own, all texts together are looked into.
    """
    if "question" not in row or not {"answer", "choices"} & row.keys():
        whole = "\n".join(item_texts(row))
        return Item(f"item {number}", whole, (whole,))
    question = f"{row.get('passage', '')}\n{row['question']}"
    return Item(
        f"item {number}", question, (question, str(row["answer"]) if "answer" in row else row["choices"][row["gold"]])
    )


def text_item(number: int, row: Mapping[str, Any]) -> Item:
    """Return a passage of general text as an item."""
    return Item(f"text {number}", row["text"], (row["text"],))


def general_collections(files: Iterable[Path]) -> list[Collection]:
    """Return the sampled general items and text that `prepare_general` wrote, as collections for overlap."""
    collections = []
    for path in files:
        make = text_item if path.stem == "text" else choice_item
        rows = read_jsonl(path)
        with reading(path):
            if not rows:
                raise ValueError("it is empty")
            items = [make(number, row) for number, row in enumerate(rows, start=1)]
        collections.append(Collection(f"general/{path.stem}", "general", items))
    return collections


def find_overlaps(collections: Sequence[Collection]) -> list[Overlap]:
    """Return the overlap of every collection with every one of a later kind, see `KINDS`, also where it is none."""
    questions, rows = _index(collections)
    found = {
        (of.name, against.name): Overlap(of, against)
        for of in collections
        for against in collections
        if KINDS.index(of.kind) < KINDS.index(against.kind)
    }
    for collection in collections:
        for item in collection.items:
            _look_up(item, collection, questions, _words(item.question), found, exact=True)
            for shared in _rows_of(item):
                _look_up(item, collection, rows, shared, found, exact=False)
    return list(found.values())


def _index(collections: Sequence[Collection]) -> tuple[Index, Index]:
    """Return where the questions, and the words in a row that are no turn of phrase, of all but training data stand."""
    held = [collection for collection in collections if collection.kind != KINDS[0]]
    questions: Index = {}
    rows: Index = {}
    for collection in held:
        for item in collection.items:
            if words := _words(item.question):
                questions.setdefault(words, []).append((collection.name, item.id))
            for shared in _rows_of(item):
                rows.setdefault(shared, []).append((collection.name, item.id))
    seen = Counter({shared: len(places) for shared, places in rows.items()})
    for collection in collections:
        if collection.kind == KINDS[0]:
            seen.update(shared for item in collection.items for shared in _rows_of(item) if shared in rows)
    return questions, {shared: places for shared, places in rows.items() if seen[shared] <= MOST_ITEMS}


def _look_up(
    item: Item, of: Collection, index: Index, words: str, found: dict[tuple[str, str], Overlap], exact: bool
) -> None:
    for name, other in index.get(words, []):
        if (of.name, name) in found:
            found[of.name, name].note(item, other, words, exact)


def _words(text: str) -> str:
    return " ".join(ONE_WORD.findall(text.lower()))


def _rows_of(item: Item) -> set[str]:
    return set(_each_row(item.texts))


def _each_row(texts: Iterable[str]) -> Iterator[str]:
    """Yield the words from each one on that make eight, characters that count half among them."""
    for text in texts:
        words = ONE_WORD.findall(text.lower())
        halves = list(accumulate((1 if HALF.match(word) else 2 for word in words), initial=0))
        stop = 0
        for start in range(len(words)):
            while stop < len(words) and halves[stop] - halves[start] < 2 * WORDS_IN_A_ROW:
                stop += 1
            if halves[stop] - halves[start] < 2 * WORDS_IN_A_ROW:
                break
            yield " ".join(words[start:stop])
