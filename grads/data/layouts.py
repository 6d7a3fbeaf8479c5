"""From a row of somebody's data to a record: the layouts that are known, and what is wrong with the others.

    instruction, input (optional), output
    prompt, completion
    messages: [{role: system | user | assistant, content: ...}, ...], from user to assistant in turn

All may have `source` and `group`, texts or whole numbers, and `references`, a list of further right answers; what is
optional may also be null. A mapping gives our names to columns that are called otherwise. Further columns are kept as
metadata where they are named.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grads.data.records import Record, Turn, make_record
from grads.data.rows import Rows, check_unicode, read_rows
from grads.runtime.errors import GradsError, nearest
from grads.study.config import LossTurns

LAYOUTS = {"instruction": ("instruction", "output"), "prompt": ("prompt", "completion"), "messages": ("messages",)}
OPTIONAL = ("source", "group")
# Common keys of a turn that say whether it carries loss.
LOSS_KEYS = ("weight", "train")


def read_records(
    path: Path | str,
    names: Mapping[str, str] | None = None,
    loss_turns: LossTurns = "last",
    metadata: Sequence[str] = (),
) -> tuple[list[Record], dict[str, int]]:
    """Read the records of a JSON-lines, JSON, CSV or Parquet file, each once; the rest is as in `collect_records`."""
    return each_once(*collect_records(read_rows(path), names, loss_turns, metadata))


def each_once(records: Sequence[Record], counts: Mapping[str, int]) -> tuple[list[Record], dict[str, int]]:
    """Return the first record of each id, and the counts of `collect_records` with the others among the duplicates."""
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.id, record)
    return list(first.values()), {**counts, "duplicate": counts["duplicate"] + len(records) - len(first)}


def collect_records(
    rows: Rows, names: Mapping[str, str] | None = None, loss_turns: LossTurns = "last", metadata: Sequence[str] = ()
) -> tuple[list[Record], dict[str, int]]:
    """Return the records of rows, in their order; `names`, `loss_turns` and `metadata` are those of `to_record`.

    Returns:
        The records without those that have a blank question or answer (or earlier turn), and without repetitions of
        earlier ones, unless they have another group or other references, by which splits connect them to others; and
        the counts of what was `read`, `empty` and `duplicate`.

    Raises:
        GradsError: a row holds no record; names its place.
    """
    counts = Counter(read=0, empty=0, duplicate=0)
    found: dict[tuple[Any, ...], Record] = {}
    columns: set[str] = set()
    for place, row in rows:
        counts["read"] += 1
        columns.update(row)
        record = to_record(row, place, names, loss_turns, metadata)
        said = [turn.content for turn in record.turns if turn.role != "system"]
        if not all(text.strip() for text in (*said, record.instruction, record.output)):
            counts["empty"] += 1
        elif (connected := (record.id, record.group, record.references)) in found:
            counts["duplicate"] += 1
        else:
            found[connected] = record
    for name, column in (names or {}).items():
        if counts["read"] and column not in columns:
            raise GradsError(
                f"'fields' (or --field) names '{column}' for {name}, but no row has it: {nearest(column, columns)}"
            )
    for column in metadata:
        if counts["read"] and column not in columns:
            raise GradsError(f"'metadata' names '{column}', but no row has it: {nearest(column, columns)}")
    return list(found.values()), dict(counts)


def rows_by_id(path: Path | str, names: Mapping[str, str] | None = None) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return for each record of a data file its number in the file, from 1, and its row with all fields as they are.

    Of equal records the first counts. `names` are those of `to_record`. Raises like `read_records`.
    """
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, (place, row) in enumerate(read_rows(path), start=1):
        found.setdefault(to_record(row, place, names).id, (number, row))
    return found


def to_record(
    row: Mapping[str, Any],
    place: str,
    names: Mapping[str, str] | None = None,
    loss_turns: LossTurns = "last",
    metadata: Sequence[str] = (),
) -> Record:
    """Return the record that a row holds; other keys are left alone, an `id` too: ids are made from the content.

    Args:
        row: column to value.
        place: where the row stands, for errors.
        names: our name of a column to the row's, where they differ; where it names a part of one layout, only that
            layout is looked for.
        loss_turns: of `messages`, whether the last answer carries loss or all do. A `weight` of 0 or 1, or a `train` of
            true or false, in an assistant's turn counts for that turn instead.
        metadata: further columns to keep: numbers and texts; what is not there, and NaN, is kept as null.

    Raises:
        GradsError: the row has none of the layouts, or several, or a value of another type.
    """
    names = names or {}
    layout = _layout(row, place, names)
    source, group = (_text(row, place, name, names, "") for name in OPTIONAL)
    if layout == "messages":
        turns = _turns(row[names.get("messages", "messages")], place, loss_turns)
        *earlier, question, answer = turns
        parts = (question.content, "", answer.content)
    else:
        question_key, answer_key = LAYOUTS[layout]
        earlier = []
        extra = _text(row, place, "input", names, "") if layout == "instruction" else ""
        parts = (_text(row, place, question_key, names), extra, _text(row, place, answer_key, names))
    further = {name: _kept(row, place, name) for name in metadata}
    references = _references(row, place, names)
    said = [turn.content for turn in earlier]
    check_unicode(place, [*parts, source, group, *said, *further.values(), *references])
    return make_record(*parts, source, group, earlier, further, references)


def _kept(row: Mapping[str, Any], place: str, column: str) -> float | str | None:
    """Return a further column's value, null where it says nothing."""
    value = row.get(column)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise GradsError(
            f"{place}: '{column}' is a {type(value).__name__}: metadata are numbers or texts; leave it out"
        )
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _layout(row: Mapping[str, Any], place: str, names: Mapping[str, str]) -> str:
    mapped = {name for name, keys in LAYOUTS.items() if any(key in names for key in keys)}
    wanted = {name: [names.get(key, key) for key in LAYOUTS[name]] for name in LAYOUTS if name in (mapped or LAYOUTS)}
    there = {column for column, value in row.items() if value is not None}
    whole = [name for name, columns in wanted.items() if there.issuperset(columns)]
    if len(whole) > 1:
        columns = " and ".join(f"'{', '.join(wanted[name])}'" for name in whole)
        raise GradsError(
            f"{place}: the row has {columns}: say in the domain's 'fields' (or by --field) which is the record"
        )
    if whole:
        return whole[0]
    # What is missing is said of the layout that is nearest to being whole.
    best = max(wanted, key=lambda name: len(there.intersection(wanted[name])))
    missing = next(column for column in wanted[best] if column not in there)
    others = [column for column in there.difference(wanted[best]) if column.isprintable()]
    hint = f" ({nearest(missing, others)})" if others else ""
    raise GradsError(
        f"{place}: '{missing}' is missing{hint}: give each record 'instruction' and 'output', 'prompt' and "
        "'completion', or 'messages', or name its columns in the domain's 'fields' (or by --field)"
    )


def _text(row: Mapping[str, Any], place: str, name: str, names: Mapping[str, str], default: str | None = None) -> str:
    column = names.get(name, name)
    value = row.get(column)
    if value is None and default is not None:
        return default
    if name in OPTIONAL and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        wanted = "text or a whole number" if name in OPTIONAL else "text in double quotes"
        raise GradsError(f"{place}: '{column}' is a {type(value).__name__}: make it a {wanted}")
    return value


def _references(row: Mapping[str, Any], place: str, names: Mapping[str, str]) -> list[str]:
    column = names.get("references", "references")
    found = row.get(column)
    if found is None or found == "":  # As a CSV file says that there are none.
        return []
    if not isinstance(found, list) or not all(isinstance(text, str) and text.strip() for text in found):
        raise GradsError(f"{place}: '{column}' is no list of texts: write the further right answers as [text, ...]")
    return found


def _turns(messages: Any, place: str, loss_turns: LossTurns) -> list[Turn]:
    """Return the turns of a conversation, checked: an optional system turn, then user and assistant in turn."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise GradsError(f'{place}: \'messages\' is no list of objects: write {{"role": ..., "content": ...}} for each')
    for number, message in enumerate(messages, start=1):
        for key in ("role", "content"):
            if not isinstance(message.get(key), str):
                raise GradsError(f"{place}: turn {number} of 'messages' has no text '{key}': give each turn one")
    roles = [message["role"] for message in messages]
    said = roles[1:] if roles[:1] == ["system"] else roles
    if not said or len(said) % 2 or said != ["user", "assistant"] * (len(said) // 2):
        raise GradsError(
            f"{place}: 'messages' has the roles {_shown(roles)}: after a system turn, if there is one, let "
            "user and assistant follow each other, from user to assistant"
        )
    turns = []
    for number, message in enumerate(messages, start=1):
        default = loss_turns == "all" or number == len(messages)
        carries = message["role"] == "assistant" and _carries_loss(message, f"{place}: turn {number}", default)
        turns.append(Turn(message["role"], message["content"], carries))
    if not turns[-1].loss:
        raise GradsError(f"{place}: the last turn carries no loss, but is the answer to learn: remove its mark, or it")
    return turns


def _shown(roles: list[str]) -> str:
    return ", ".join(role if role.isidentifier() else repr(role) for role in roles[:12]) or "of nobody"


def _carries_loss(message: Mapping[str, Any], place: str, default: bool) -> bool:
    marks = [message[key] for key in LOSS_KEYS if message.get(key) is not None]
    if not all(isinstance(mark, bool | int | float) and mark in (0, 1) for mark in marks) or len(set(marks)) > 1:
        raise GradsError(f"{place} has the loss marks {marks}: write 'weight' 0 or 1, or 'train' true or false")
    return bool(marks[0]) if marks else default
