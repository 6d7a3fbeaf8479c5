"""What the splits of a study share with each other and with the general benchmarks, as a report."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from grads.data.instructions import instruction_collection
from grads.data.overlap import (
    MOST_ITEMS,
    WORDS_IN_A_ROW,
    Collection,
    Overlap,
    find_overlaps,
    general_collections,
    record_item,
)
from grads.data.records.record import load_records
from grads.runtime.files import write_json, write_text
from grads.runtime.markdown import plain
from grads.runtime.progress import say


def report_overlap(
    records: Mapping[str, Mapping[str, Path]],
    general: Iterable[Path],
    mode: str,
    out: Path | str,
    instructions: Iterable[Path] = (),
) -> None:
    """Write `out`, JSON with all pairs of collections, and next to it the same as a Markdown table (`.md`).

    Args:
        records: domain to split to Parquet file.
        general: files of sampled items and text, as `prepare_general` leaves them.
        mode: `overlap` of the config, for the reader.
        out: path of the JSON file.
        instructions: files of general instructions, as `prepare_instructions` leaves them.
    """
    collections = [
        Collection(f"{domain}/{split}", split, [record_item(record) for record in load_records(path)])
        for domain, splits in records.items()
        for split, path in splits.items()
    ]
    collections += [instruction_collection(f"general/{path.stem}", load_records(path)) for path in instructions]
    overlaps = find_overlaps([*collections, *general_collections(general)])
    pairs = [_pair(overlap) for overlap in overlaps]
    content = {"overlap": mode, "words_in_a_row": WORDS_IN_A_ROW, "most_items": MOST_ITEMS, "pairs": pairs}
    write_json(out, content)
    write_text(Path(out).with_suffix(".md"), _markdown(overlaps, mode))
    shared = [overlap for overlap in overlaps if overlap.ids]
    say(f"overlap: {len(shared)} of {len(overlaps)} pairs of data share something; see {out}")


def _pair(overlap: Overlap) -> dict[str, object]:
    return {
        "of": overlap.of.name,
        "against": overlap.against.name,
        "items": len(overlap.of.items),
        "exact": len(overlap.exact),
        "in_a_row": len(overlap.in_a_row),
        "any": len(overlap.ids),
        "touched": len(overlap.touched),
        "examples": overlap.examples,
    }


def _markdown(overlaps: Sequence[Overlap], mode: str) -> str:
    lines = [
        "# Overlap",
        "",
        f"Items with a question equal to one of the other data, or {WORDS_IN_A_ROW} words in a row of it that stand in "
        f"at most {MOST_ITEMS} items. The config says `overlap: {mode}`.",
        "",
    ]
    shared = [overlap for overlap in overlaps if overlap.ids]
    if not shared:
        return "\n".join([*lines, f"None of {len(overlaps)} pairs of data shares anything.", ""])
    lines += [
        "| of | against | items | equal question | words in a row | others touched |",
        "|:--|:--|--:|--:|--:|--:|",
    ]
    for o in shared:
        numbers = (len(part) for part in (o.of.items, o.exact, o.in_a_row, o.touched))
        lines.append(f"| {o.of.name} | {o.against.name} | {' | '.join(map(str, numbers))} |")
    lines += ["", "Examples:", ""]
    lines += [
        f"- {o.of.name} {e['id']}, {o.against.name} {e['other']}: {plain(e['shared'])}"
        for o in shared
        for e in o.examples
    ]
    return "\n".join([*lines, ""])
