"""From a row of somebody's data to a record: which layout it has, and what is wrong with a row that has none.

Each file of `grads.data.layouts` declares one. All may have `id`, `source` and `group`, texts or whole numbers, and
`references`, a list of further right answers; what is optional may also be null. A mapping gives our names to columns
that are called otherwise. Further columns are kept as metadata where they are named.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grads.config.section import LossTurns
from grads.data.layouts.contract import Given, Layout, without_system
from grads.data.layouts.registry import any_of_the_columns, layouts
from grads.data.records.record import SYSTEM_ROLES, Record, make_record
from grads.data.records.rows import Rows, check_unicode, read_rows
from grads.data.records.turns import Message, to_turns
from grads.data.records.unread import PAIR, check_columns, is_empty
from grads.runtime.errors import GradsError, nearest

NAMES = ("id", "source", "group")
# What every row may have, whatever its layout.
COMMON = (*NAMES, "references")
# What a system prompt is called, where the config does not say.
SYSTEM_COLUMNS = ("system", "system_prompt", "system_message")


def read_records(
    path: Path | str,
    names: Mapping[str, str] | None = None,
    loss_turns: LossTurns = "last",
    metadata: Sequence[str] = (),
    leave: Sequence[str] = (),
) -> tuple[list[Record], dict[str, int]]:
    """Read the records of a file or a folder, each once; the rest is as in `collect_records`."""
    return each_once(*collect_records(read_rows(path), names, loss_turns, metadata, leave))


def each_once(records: Sequence[Record], counts: Mapping[str, int]) -> tuple[list[Record], dict[str, int]]:
    """Return the first record of each id, and the counts of `collect_records` with the others among the duplicates."""
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.id, record)
    return list(first.values()), {**counts, "duplicate": counts["duplicate"] + len(records) - len(first)}


def collect_records(
    rows: Rows,
    names: Mapping[str, str] | None = None,
    loss_turns: LossTurns = "last",
    metadata: Sequence[str] = (),
    leave: Sequence[str] = (),
) -> tuple[list[Record], dict[str, int]]:
    """Return the records of rows, in their order; `names` and all after it are those of `to_record`.

    Returns:
        The records without those that have a blank question or answer (or earlier turn), and without repetitions of
        earlier ones, unless they have another group or other references, by which splits connect them to others; and
        the counts of what was `read`, `empty` and `duplicate`. Of repetitions, the id of the owner's of the first is
        kept.

    Raises:
        GradsError: a row holds no record; names its place.
    """
    counts = Counter(read=0, empty=0, duplicate=0)
    found: dict[tuple[Any, ...], Record] = {}
    columns: set[str] = set()
    for place, row in rows:
        counts["read"] += 1
        columns.update(row)
        record = to_record(row, place, names, loss_turns, metadata, leave)
        said = [turn.content for turn in record.turns if turn.role not in SYSTEM_ROLES]
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


def rows_by_id(
    path: Path | str,
    names: Mapping[str, str] | None = None,
    metadata: Sequence[str] = (),
    leave: Sequence[str] = (),
    kept: Callable[[int, dict[str, Any]], Any] = lambda _number, row: row,
) -> dict[str, tuple[int, Any]]:
    """Return for each record of a data file its number in the file, from 1, and its row with all fields as they are.

    Of equal records the first counts. `kept` makes of a number and its row what is returned in the row's place. The
    other arguments are those of `read_records`, which raises the same.
    """
    found: dict[str, tuple[int, Any]] = {}
    for number, (place, row) in enumerate(read_rows(path), start=1):
        what = kept(number, row)
        found.setdefault(to_record(row, place, names, "last", metadata, leave).id, (number, what))
    return found


def holds_record(row: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    """Return whether a row has all that one of the layouts needs."""
    return any(
        all(row.get(names.get(part, part)) is not None for part in layout.needed)
        for layout in layouts()
        if not layout.only_named or names.keys() & set(layout.needed)
    )


def to_record(
    row: Mapping[str, Any],
    place: str,
    names: Mapping[str, str] | None = None,
    loss_turns: LossTurns = "last",
    metadata: Sequence[str] = (),
    leave: Sequence[str] = (),
) -> Record:
    """Return the record that a row holds; further columns are left alone, unless they change what the row means.

    Args:
        row: column to value.
        place: where the row stands, for errors.
        names: our name of a column to the row's, where they differ; where it names a part that a layout needs, only
            that layout is looked for.
        loss_turns: of conversations, whether the last answer carries loss or all do. A `weight` of 0 or 1, or a `train`
            of true or false, in an assistant's turn counts for that turn instead.
        metadata: further columns to keep: numbers and texts; what is not there, and NaN, is kept as null.
        leave: columns of the row, and keys, roles and types of content parts of its turns, that are knowingly left out.

    Raises:
        GradsError: the row has none of the layouts, or several, a value of another type, or something without which it
            would mean something else.
    """
    given = Given({column: row[column] for column in row if column not in leave}, place, names or {}, metadata, leave)
    layout = _layout(given)
    _check_unread(layout, given)
    conversation = layout.read(given)
    what = " and ".join(f"'{given.column(part)}'" for part in layout.needed)
    *earlier, question, answer = to_turns(_with_system(given, conversation.messages), what, place, loss_turns)
    own_id, source, group = (_name(given, name) for name in NAMES)
    further = {name: _kept(given, name) for name in metadata}
    references = _references(given)
    parts = (question.content, conversation.input, answer.content)
    said = [turn.content for turn in earlier]
    check_unicode(place, [*parts, own_id, source, group, *said, *further.values(), *references])
    return make_record(*parts, source, group, earlier, further, references, own_id)


def _layout(given: Given) -> Layout:
    mapped = [layout for layout in layouts() if given.names.keys() & set(layout.needed)]
    wanted = mapped or [layout for layout in layouts() if not layout.only_named]
    there = {column for column, value in given.row.items() if value is not None}
    whole = [layout for layout in wanted if there.issuperset(map(given.column, layout.needed))]
    if len(whole) > 1:
        several = " and ".join(f"'{layout.columns(given)}'" for layout in whole)
        raise given.error(f"the row has {several}: say in the domain's 'fields' (or by --field) which is the record")
    if whole:
        return whole[0]
    if not mapped:
        pair = {column: value for column, value in given.row.items() if column in PAIR}
        check_columns(pair, (), given.place)
    # What is missing is said of the layout that is nearest to being whole.
    best = max(wanted, key=lambda layout: len(there.intersection(map(given.column, layout.needed))))
    columns = [given.column(part) for part in best.needed]
    missing = next(column for column in columns if column not in there)
    unused = [column for column in there.difference(columns) if column.isprintable()]
    hint = f" ({nearest(missing, unused)})" if unused else ""
    known = any_of_the_columns(layouts(), "'")
    raise given.error(
        f"'{missing}' is missing{hint}: give each record {known}, or name its columns in "
        "the domain's 'fields' (or by --field)"
    )


def _check_unread(layout: Layout, given: Given) -> None:
    """Refuse a column that is mapped to no part of the layout, or without which the row would mean something else."""
    parts = {*layout.parts, *COMMON}
    for name, column in given.names.items():
        if name not in parts and not is_empty(given.row.get(column)):
            raise given.error(
                f"'fields' (or --field) names '{column}' for {name}, which is not read with "
                f"'{layout.columns(given)}': take it away, or name other columns"
            )
    # A part that is called otherwise settles what its usual names are: something else.
    read = {*map(given.column, parts), *parts, *SYSTEM_COLUMNS, *given.metadata}
    if read.intersection(PAIR):
        read.update(PAIR)
    check_columns(given.row, read, given.place)


def _with_system(given: Given, messages: list[Message]) -> list[Message]:
    """Return the turns with the system prompt of a column of its own, if there is one, in front."""
    columns = [given.column("system")] if "system" in given.names else SYSTEM_COLUMNS
    found = {column: given.row[column] for column in columns if not is_empty(given.row.get(column))}
    for column, text in found.items():
        if not isinstance(text, str):
            raise given.error(f"'{column}' is a {type(text).__name__}: make it a text in double quotes")
    if not found:
        return messages
    own = messages[:1] if messages and messages[0].role in SYSTEM_ROLES and messages[0].content.strip() else []
    texts = {*found.values(), *(message.content for message in own)}
    if len(texts) > 1:
        places = " and ".join([*(f"'{column}'" for column in found), *(f"a turn '{message.role}'" for message in own)])
        raise given.error(f"there is more than one system prompt, in {places}: list one in 'leave' (or by --leave)")
    return messages if own else [Message("system", texts.pop()), *without_system(messages)]


def _name(given: Given, name: str) -> str:
    """Return what names something: a text, or a whole number as text; empty where there is none."""
    value = given.value(name)
    if name == "id" and isinstance(value, float):  # As pandas writes whole numbers where some are missing.
        value = int(value) if value.is_integer() else None if math.isnan(value) else value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if name == "id" and "id" not in given.names:  # A column of the row's own: some keep more than a name there.
        return ""
    raise given.error(f"'{given.column(name)}' is a {type(value).__name__}: make it a text or a whole number")


def _kept(given: Given, column: str) -> float | str | None:
    """Return a further column's value, null where it says nothing."""
    value = given.row.get(column)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise given.error(f"'{column}' is a {type(value).__name__}: metadata are numbers or texts; leave it out")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _references(given: Given) -> list[str]:
    found = given.value("references")
    if found is None or found == "":  # As a CSV file says that there are none.
        return []
    if not isinstance(found, list) or not all(isinstance(text, str) and text.strip() for text in found):
        column = given.column("references")
        raise given.error(f"'{column}' is no list of texts: write the further right answers as [text, ...]")
    return found
