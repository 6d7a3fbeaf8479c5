"""General instructions: seeded draws of records that share nothing with what is measured."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from grads.config.domains import Domain
from grads.config.general import Instructions
from grads.config.models import Skill
from grads.data.overlap import Collection, find_overlaps, general_collections, record_item
from grads.data.prepare import domain_records
from grads.data.records.layouts import each_once
from grads.data.records.record import Record, load_records, write_records
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, write_json
from grads.runtime.progress import say


def prepare_instructions(
    instructions: Instructions,
    seed: int,
    archives: Mapping[str, Path],
    tests: Iterable[Path],
    general: Iterable[Path],
    out: Path | str,
) -> None:
    """Write `out/anchor.parquet` and `out/replay.parquet`, records of their own each, and `out/instructions.json`.

    Records that share a question or eight words in a row with a test record or a general item are left out, whatever
    the study's `overlap` says: an anchor of what is tested would tell a method about it. A larger draw of either
    contains the smaller one, and the order of the source changes nothing.

    Args:
        instructions: source and numbers.
        seed: of the draws.
        archives: maps their keys to the fetched files.
        tests: test records of all domains (Parquet).
        general: files that `prepare_general` wrote.
        out: folder to write to.

    Raises:
        GradsError: the source cannot be read, or has too few records.
    """
    records, counts = each_once(*domain_records(instruction_domain(instructions), archives, Path(out)))
    overlapping = _overlapping(records, tests, general)
    usable = [record for record in records if record.id not in overlapping]
    wanted = instructions.anchor + instructions.replay
    if len(usable) < wanted:
        raise GradsError(
            f"general.instructions: anchor and replay ask for {wanted} of {len(usable)} usable records "
            f"({len(overlapping)} overlap with test records or general items): ask for fewer, or give more data"
        )
    for name, drawn in _draws(usable, instructions, seed).items():
        write_records(Path(out) / f"{name}.parquet", drawn)
        counts[name] = len(drawn)
    write_json(Path(out) / "instructions.json", counts | {"overlapping": len(overlapping)})
    say(f"general instructions: {counts['anchor']} anchor, {counts['replay']} replay of {len(usable)} usable records")


def skill_records(skill: Skill, archives: Mapping[str, Path], scratch: Path, label: str) -> list[Record]:
    """Return the records of a skill that a model is taught; a larger draw contains the smaller one.

    Args:
        skill: source and number.
        archives: maps their keys to the fetched files.
        scratch: a folder for what is needed while reading.
        label: what errors call it.

    Raises:
        GradsError: the source cannot be read, or has too few records.
    """
    records, _counts = each_once(*domain_records(instruction_domain(skill), archives, scratch))
    if len(records) < skill.records:
        raise GradsError(
            f"{label}: 'records' asks for {skill.records} of {len(records)} usable records: ask for fewer, or give "
            "more data"
        )
    return sorted(records, key=lambda record: digest([skill.seed, "skill", record.id]))[: skill.records]


def instruction_domain(instructions: Instructions | Skill) -> Domain:
    """Return general instructions, or a skill, as what they are read like: a domain."""
    return Domain(
        title="General instructions",
        source=instructions.source,
        fields=instructions.fields,
        leave=instructions.leave,
    )


def _draws(records: list[Record], instructions: Instructions, seed: int) -> dict[str, list[Record]]:
    """Return what is drawn, from both ends of one seeded order, so that neither number moves the other's draw."""
    ordered = sorted(records, key=lambda record: digest([seed, "instructions", record.id]))
    return {"anchor": ordered[: instructions.anchor], "replay": ordered[::-1][: instructions.replay]}


def _overlapping(records: list[Record], tests: Iterable[Path], general: Iterable[Path]) -> set[str]:
    """Return the ids of records that share something with test records or general items."""
    collections = [instruction_collection("general/instructions", records)]
    for path in tests:
        name = f"{path.parent.name}/test"
        collections.append(Collection(name, "test", [record_item(record) for record in load_records(path)]))
    overlaps = find_overlaps([*collections, *general_collections(general)])
    return set().union(*(overlap.ids for overlap in overlaps if overlap.of is collections[0]))


def instruction_collection(name: str, records: Iterable[Record]) -> Collection:
    """Return general instructions as a collection: like training records, they must not have seen what is measured."""
    return Collection(name, "train", [record_item(record) for record in records])
