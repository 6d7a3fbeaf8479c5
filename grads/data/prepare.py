"""The stage functions that prepare a study's data: domains into splits, general tasks and text into samples."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from grads.config.domains import Domain, Splits
from grads.config.general import General, HarnessData
from grads.config.kinds import RECORDS, Reading
from grads.config.task_file import DATA_TOKEN, FUNCTION, check_items, module_files, read_task_keys
from grads.data.benchmark_items import choice_items, sample_rows, text_passages
from grads.data.overlap import Collection, find_overlaps, general_collections, record_item
from grads.data.records.layouts import collect_records
from grads.data.records.record import Record, write_records
from grads.data.sources.named_tasks import load_harness, sample_harness, temporary_cache
from grads.data.splits import split
from grads.runtime.errors import GradsError
from grads.runtime.files import sha256_file, write_json, write_jsonl, write_text
from grads.runtime.progress import say
from grads.study.paths import hub_path


def prepare_domains(
    domains: Mapping[str, Domain],
    splits: Splits,
    archives: Mapping[str, Path],
    out: Path | str,
    overlap: Literal["report", "refuse", "remove"] = "report",
    general: Iterable[Path] = (),
) -> None:
    """Write `out/<domain>/{train,validation,test}.parquet` and `out/<domain>/counts.json` for all domains of a study.

    All at once, because splits are made over all domains.

    Args:
        domains: by their names in the study.
        splits: how many records go where.
        archives: maps their keys to the fetched files.
        out: folder to write to.
        overlap: what happens to training and validation records that share a question, or eight words in a row, with
            test records of any domain or with general items (`grads.data.overlap`).
        general: files that `prepare_general` wrote; read unless overlap is only reported.

    Raises:
        GradsError: a source cannot be read, has too few records, or overlap is found and refused, or leaves nothing.
    """
    records = {}
    read_counts = {}
    with tempfile.TemporaryDirectory(prefix="grads-data-") as scratch:
        for name, domain in domains.items():
            records[name], read_counts[name] = domain_records(domain, archives, Path(scratch))
    parts, split_counts = split(records, splits.train, splits.validation, splits.test, splits.seed)
    if splits.tuning:
        _test_on_validation(parts, split_counts)
    if overlap != "report":
        _part_from_held_out(parts, split_counts, general, overlap)
    for name, domain in domains.items():
        folder = Path(out) / name
        for part, kept in parts[name].items():
            write_records(folder / f"{part}.parquet", kept)
        write_json(folder / "counts.json", {"source": read_counts[name], "splits": split_counts[name]})
        sizes = ", ".join(_size(part, len(kept), splits.sizes[part]) for part, kept in parts[name].items())
        say(f"{domain.title}: {sizes} of {split_counts[name]['given']} records")


def _size(part: str, number: int, asked: int | None) -> str:
    """Return how many records a split has, and how many were asked for where connected groups allow no such number."""
    return f"{part} {number}" + (f" (asked: {asked})" if asked not in (None, number) else "")


def _test_on_validation(parts: dict[str, dict[str, list[Record]]], counts: dict[str, dict[str, int]]) -> None:
    """Let the validation records be the test records, which are left out."""
    for name, splits in parts.items():
        counts[name]["unused"] += len(splits["test"])
        splits["test"] = splits["validation"]
        splits["validation"] = []
        counts[name] |= {"validation": 0, "test": len(splits["test"])}


def _part_from_held_out(
    parts: dict[str, dict[str, list[Record]]], counts: dict[str, dict[str, int]], general: Iterable[Path], mode: str
) -> None:
    """Remove training and validation records that overlap with test records or general items, or refuse them."""
    collections = [
        Collection(f"{name}/{part}", part, [record_item(record) for record in records])
        for name, splits in parts.items()
        for part, records in splits.items()
    ]
    found: dict[str, set[str]] = {}
    for overlap in find_overlaps([*collections, *general_collections(general)]):
        if overlap.of.kind == "test" or overlap.against.kind == "validation" or not overlap.ids:
            continue
        if mode == "refuse":
            raise GradsError(
                f"{len(overlap.ids)} records of {overlap.of.name} overlap with {overlap.against.name} (first: "
                f"{overlap.examples[0]['id']}, '{overlap.examples[0]['shared'][:80]}'): set 'overlap' to 'remove' or "
                "'report', or fix the data"
            )
        found.setdefault(overlap.of.name, set()).update(overlap.ids)
    for name, splits in parts.items():
        for part, called in (("train", "training"), ("validation", "validation")):
            removed = found.get(f"{name}/{part}", set())
            splits[part] = [record for record in splits[part] if record.id not in removed]
            counts[name] |= {part: len(splits[part]), f"{part}_overlapping": len(removed)}
            if removed and not splits[part]:
                raise GradsError(
                    f"domain '{name}': all {called} records overlap with held-out items: fix the data, or ask for "
                    "more in 'splits'"
                )


def domain_records(domain: Domain, archives: Mapping[str, Path], scratch: Path) -> tuple[list[Record], dict[str, int]]:
    """Return the records of a domain's source, and how many were read and dropped; what is unpacked is in `scratch`.

    Those of one content may be there several times, with other groups or references.

    Raises:
        GradsError: the source cannot be read.
    """
    kind = RECORDS.find(domain.source.kind)
    rows = kind.rows(domain.source, Reading(archives, domain.title, scratch))
    fields = dict[str, str](domain.fields.items())
    records, counts = collect_records(rows, fields, domain.loss_turns, domain.metadata, domain.leave)
    # Of what is made by code, none is empty and none is there twice.
    return records, {"read": counts["read"]} if kind.titled else counts


def prepare_general(general: General, archives: Mapping[str, Path], out: Path | str) -> None:
    """Write what measures forgetting: `out/<task>.{jsonl,yaml}` for each task, `out/text.jsonl` and `out/counts.json`.

    Rows are `{question, choices, gold}`, with `passage` where the source has one, and `{text}`. In the task file the
    word DATA becomes the path of its rows, relative when `out` is. A task that lm-eval knows by name has no task file
    here, and rows `{task, doc_id, question, answer}` that say which of its items are asked.

    Raises:
        GradsError: a source or task file cannot be read, or has too few items.
    """
    out = Path(out)
    counts = {}
    for name, task in general.tasks.items():
        label = f"general.tasks.{name}"
        if isinstance(task.data, HarnessData):
            with temporary_cache():
                loaded = load_harness(hub_path(task.data), task.few_shot, general.allow_code)
                rows, read = sample_harness(loaded, task.sample, general.seed, label)
            dropped = {"read": read}
        else:
            items, dropped = choice_items(task.data, archives)
            rows = sample_rows(items, task.sample or len(items), general.seed, label)
            _write_task_file(task.file or Path(), name, out, rows, general.allow_code)
        write_jsonl(out / f"{name}.jsonl", rows)
        counts[name] = dropped | {"sample": len(rows)}
        say(f"{task.title}: {len(rows)} of {dropped['read']} items")
    passages, dropped = text_passages(general.text.source, archives)
    rows = sample_rows(passages, general.text.sample, general.seed, "general.text")
    write_jsonl(out / "text.jsonl", rows)
    write_json(out / "counts.json", counts | {"text": dropped | {"sample": len(rows)}})


def _write_task_file(path: Path, name: str, out: Path, items: list[dict], allow_code: bool) -> None:
    """Write a task file over its items, and next to it the Python that it names, in a folder of the task's name."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise GradsError(f"{path} is not there: correct 'yaml' of the task in 'general.tasks'") from None
    data = out / f"{name}.jsonl"
    quoted = json.dumps(str(data), ensure_ascii=False)
    replaced, number = DATA_TOKEN.subn(lambda _: quoted, text)
    if number != 1:
        raise GradsError(f"{path} has the word DATA {number} times: put it once, where lm-eval reads the items from")
    if FUNCTION.search(text) and not allow_code:
        raise GradsError(f"{path} names Python by !function: set 'general.allow_code: true' if you trust it")
    modules = module_files(path)
    for module, file in modules.items():
        write_text(out / name / (module.replace(".", "/") + ".py"), file.read_text("utf-8"))
        # What runs the task reads this file alone as its input: with the Python it becomes another.
        replaced += f"\n# {module}: {sha256_file(file)}"
    replaced = FUNCTION.sub(
        lambda found: f"!function {name}.{found[1]}" if found[1].rpartition(".")[0] in modules else found[0], replaced
    )
    rows = [(f"{data}:{place}", row) for place, row in enumerate(items, 1)]
    check_items(path, read_task_keys(path), rows)
    write_text(out / f"{name}.yaml", replaced)
