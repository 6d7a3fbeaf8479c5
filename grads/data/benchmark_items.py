"""What measures forgetting: seeded samples of multiple-choice items and of general text passages."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from grads.config.general import ChoiceData, TextData, TextFile
from grads.config.kinds import Rows, archive_of
from grads.config.sources import Archived, FileSource, OwnFile
from grads.data.records.rows import check_unicode, read_member_rows, read_rows
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import digest

LETTERED = re.compile(r"([A-Z])\. (.*)", re.DOTALL)


def choice_items(source: ChoiceData | FileSource, archives: Mapping[str, Path]) -> tuple[list[dict], dict[str, int]]:
    """Return multiple-choice items, as `{question, choices, gold}`, with `passage` where the source has one.

    A `lettered` member of an archive has `{question, options: "A. ...\\nB. ...", answer: "B. ..."}` a line; a file of
    one's own has the items as they are returned. `gold` counts from 0. Items of a file that have neither `choices` nor
    `gold` are any objects, which a task file turns into questions and answers.

    Returns:
        The items in the order of the source, and the counts of what was `read`, and dropped as `malformed` (options
        not lettered from A on), `ambiguous` (two options read alike), `no_gold` (no option is the answer), `duplicate`.

    Raises:
        GradsError: a line has not the keys above; names archive or file, and line.
    """
    counts = Counter(read=0, malformed=0, ambiguous=0, no_gold=0, duplicate=0)
    found: dict[str, dict] = {}
    for place, row in _rows(source, archives):
        counts["read"] += 1
        item = _item(source, row, place)
        if isinstance(item, str):
            counts[item] += 1
        elif digest(item) in found:
            counts["duplicate"] += 1
        else:
            found[digest(item)] = item
    return list(found.values()), dict(counts)


def _item(source: ChoiceData | FileSource, row: dict[str, Any], place: str) -> dict | str:
    """Return the item of a row, or why it is dropped."""
    item = _lettered_item(row, place) if isinstance(source, ChoiceData) else _own_item(row, place)
    if isinstance(item, dict):
        check_unicode(place, item_texts(item))
    return item


def first_items(source: ChoiceData | FileSource, archives: Mapping[str, Path], number: int) -> list[tuple[str, dict]]:
    """Return the items among the first rows of a source, each with where it stands; raises like `choice_items`."""
    rows = [(place, _item(source, row, place)) for place, row in islice(_rows(source, archives), number)]
    return [(place, item) for place, item in rows if isinstance(item, dict)]


def check_passages(source: TextData | TextFile, archives: Mapping[str, Path], number: int) -> None:
    """Read the first rows of a source of passages; raises like `text_passages`."""
    for place, row in islice(_rows(source, archives), number):
        _passage(source, row, place)


def _passage(source: TextData | TextFile, row: Mapping[str, Any], place: str) -> str:
    text = row.get(source.field)
    if not isinstance(text, str):
        hint = f" ({nearest(source.field, map(str, row))})" if source.field not in row else ""
        raise GradsError(
            f"{place}: '{source.field}' is not a text{hint}: correct 'field' of 'general.text' in the config"
        )
    check_unicode(place, [text])
    return text.strip()


def _rows(source: OwnFile | Archived, archives: Mapping[str, Path]) -> Rows:
    if isinstance(source, OwnFile):
        return read_rows(source.file)
    return read_member_rows(archive_of(source, archives), source.member)


def _lettered_item(row: dict[str, Any], place: str) -> dict | str:
    """Return the item, or why it is dropped."""
    for key in ("question", "options", "answer"):
        if not isinstance(row.get(key), str):
            raise GradsError(
                f"{place}: '{key}' is not a text: choose a member whose items have question, options, answer"
            )
    lines = [line.strip() for line in row["options"].splitlines() if line.strip()]
    matches = [LETTERED.fullmatch(line) for line in lines]
    if len(lines) < 2 or any(not m or m[1] != chr(ord("A") + i) for i, m in enumerate(matches)):
        return "malformed"
    choices = [m[2].strip() for m in matches if m]
    if len(set(choices)) < len(choices):
        return "ambiguous"
    if row["answer"].strip() not in lines:
        return "no_gold"
    item = {"question": row["question"].strip(), "choices": choices, "gold": lines.index(row["answer"].strip())}
    passage = row.get("passage", "")
    return item | {"passage": passage.strip()} if passage else item


def _own_item(row: dict[str, Any], place: str) -> dict | str:
    """Return a multiple-choice item, or whatever else a row holds: its task file says what is asked of it."""
    if not {"choices", "gold"} & row.keys():
        return _free_item(row, place)
    choices: Any = row.get("choices")
    gold: Any = row.get("gold")
    texts = [row.get("question"), row.get("passage", ""), *(choices if isinstance(choices, list) else [None])]
    is_index = isinstance(gold, int) and not isinstance(gold, bool)
    if not all(isinstance(text, str) for text in texts) or len(choices) < 2 or not is_index:
        raise GradsError(f'{place}: write each item as {{"question": text, "choices": [text, text, ...], "gold": 0}}')
    if not 0 <= gold < len(choices):
        raise GradsError(f"{place}: 'gold' is {gold} with {len(choices)} choices: count the choices from 0")
    if len(set(choices)) < len(choices):
        return "ambiguous"
    item = {"question": row["question"], "choices": choices, "gold": gold}
    return item | {"passage": row["passage"]} if row.get("passage") else item


def _free_item(row: dict[str, Any], place: str) -> dict:
    """Return a row as it is, without what is null."""
    item = {key: value for key, value in row.items() if value is not None}
    if not item:
        raise GradsError(f"{place}: the item has no fields: write those that the task file names")
    try:
        json.dumps(item, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GradsError(f"{place}: the item cannot be written as JSON ({error}): leave that field out") from None
    return item


def item_texts(item: Any) -> list[str]:
    """Return all texts of an item, those in its lists and objects too."""
    if isinstance(item, str):
        return [item]
    if isinstance(item, dict | list):
        inner = item.values() if isinstance(item, dict) else item
        return [text for value in inner for text in item_texts(value)]
    return []


def text_passages(source: TextData | TextFile, archives: Mapping[str, Path]) -> tuple[list[dict], dict[str, int]]:
    """Return the passages of a source as `{text}`, without blank and repeated ones, and the counts of these.

    Raises:
        GradsError: a line has no text in the field that the config names; names archive or file, and line.
    """
    counts = Counter(read=0, empty=0, duplicate=0)
    found: dict[str, dict] = {}
    for place, row in _rows(source, archives):
        counts["read"] += 1
        text = _passage(source, row, place)
        if not text:
            counts["empty"] += 1
        elif text in found:
            counts["duplicate"] += 1
        else:
            found[text] = {"text": text}
    return list(found.values()), dict(counts)


def sample_rows(rows: list[dict], number: int, seed: int, label: str) -> list[dict]:
    """Return `number` rows drawn with a seed; the order of `rows` changes nothing, and a smaller draw is a head.

    Raises:
        GradsError: there are fewer rows; names `label`.
    """
    if len(rows) < number:
        raise GradsError(f"{label}: 'sample' asks for {number} of {len(rows)} usable items: ask for fewer")
    return sorted(rows, key=lambda row: digest([seed, row]))[:number]
