"""The report on overlap, and what the config makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from grads.config.domains import Domain, Splits
from grads.config.sources import FileSource
from grads.data.overlap_report import report_overlap
from grads.data.prepare import prepare_domains
from grads.data.records.record import load_records, make_record, write_records
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_jsonl

SPLITS = Splits(validation=4, test=6)
PARTS = ("train", "validation", "test")
LEAKS = {3: "the very same eight words stand in it", 4: "and so do eight others that were written"}


@pytest.fixture
def study(tmp_path: Path) -> tuple[dict[str, Domain], list[Path]]:
    """Twenty records, two of which share words with general items and one of which shares a question."""
    outputs = [f"Answer {n}. {LEAKS.get(n, '')}" for n in range(20)]
    rows = [{"instruction": f"Question {n}?", "output": output} for n, output in enumerate(outputs)]
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    items = [{"question": text, "choices": ["a", "b"], "gold": 0} for text in ("question 5", *LEAKS.values())]
    write_jsonl(tmp_path / "task.jsonl", items)
    write_jsonl(tmp_path / "text.jsonl", [{"text": "nothing of the kind"}])
    source = FileSource(kind="file", path=str(tmp_path / "own.jsonl"))
    return {"own": Domain(title="Own", source=source)}, [tmp_path / "task.jsonl", tmp_path / "text.jsonl"]


def prepared(folder: Path, study: Any, overlap: Any) -> dict[str, list[str]]:
    domains, general = study
    prepare_domains(domains, SPLITS, {}, folder, overlap, general)
    return {part: [record.instruction for record in load_records(folder / "own" / f"{part}.parquet")] for part in PARTS}


def pairs(folder: Path, study: Any) -> dict[tuple[str, str], dict[str, Any]]:
    records = {"own": {part: folder / "own" / f"{part}.parquet" for part in PARTS}}
    report_overlap(records, study[1], "report", folder / "overlap.json")
    return {(pair["of"], pair["against"]): pair for pair in read_json(folder / "overlap.json")["pairs"]}


def test_overlap_is_reported_and_nothing_changed(tmp_path: Path, study: Any) -> None:
    parts = prepared(tmp_path / "out", study, "report")
    assert sum(map(len, parts.values())) == 20
    found = pairs(tmp_path / "out", study)
    assert len(found) == 9
    against_task = [found[f"own/{part}", "general/task"] for part in PARTS]
    assert sum(pair["exact"] for pair in against_task) == 1
    assert sum(pair["in_a_row"] for pair in against_task) == 2
    assert sum(pair["any"] for pair in found.values()) == 3
    for part, pair in zip(PARTS, against_task, strict=True):
        shared = {f"Question {n}?" for n in (3, 4, 5)} & set(parts[part])
        assert (pair["any"], pair["items"], len(pair["examples"])) == (len(shared), len(parts[part]), len(shared))
    table = (tmp_path / "out" / "overlap.md").read_text()
    assert "general/task" in table
    assert "general/text" not in table


def test_overlap_is_removed_from_training_and_validation(tmp_path: Path, study: Any) -> None:
    before = prepared(tmp_path / "all", study, "report")
    after = prepared(tmp_path / "out", study, "remove")
    leaking = {f"Question {n}?" for n in (3, 4, 5)}
    assert after["test"] == before["test"]
    for part in ("train", "validation"):
        assert after[part] == [question for question in before[part] if question not in leaking]
    counts = read_json(tmp_path / "out" / "own" / "counts.json")["splits"]
    assert counts["train"] == len(after["train"])
    assert counts["train_overlapping"] == len(before["train"]) - len(after["train"]) > 0
    found = pairs(tmp_path / "out", study)
    assert not any(pair["any"] for (of, _), pair in found.items() if not of.endswith("test"))


def test_overlap_is_refused(tmp_path: Path, study: Any) -> None:
    with pytest.raises(GradsError, match=r"of own/train overlap with general/task \(first: [0-9a-f]{16}, '.*'\): set"):
        prepared(tmp_path / "out", study, "refuse")
    assert not (tmp_path / "out").exists()


def test_without_overlap_the_report_says_so(tmp_path: Path, study: Any) -> None:
    domains, general = study
    for mode in ("refuse", "remove"):
        prepared(tmp_path / mode, (domains, general[1:]), mode)
    found = pairs(tmp_path / "refuse", (domains, general[1:]))
    assert not any(pair["any"] for pair in found.values())
    assert "None of 6 pairs of data shares anything." in (tmp_path / "refuse" / "overlap.md").read_text()


def test_nothing_left_to_train_on_is_an_error(tmp_path: Path, study: Any) -> None:
    domains, general = study
    rows = [{"question": f"Question {n}?", "choices": ["a"], "gold": 0} for n in range(20)]
    write_jsonl(general[0], rows)
    with pytest.raises(GradsError, match="domain 'own': all training records overlap"):
        prepared(tmp_path / "out", (domains, general), "remove")


def test_validation_that_all_overlaps_is_an_error(tmp_path: Path, study: Any) -> None:
    domains, general = study
    prepared(tmp_path / "before", study, "report")
    held = load_records(tmp_path / "before" / "own" / "validation.parquet")
    write_jsonl(general[0], [{"question": record.question, "choices": ["a"], "gold": 0} for record in held])
    with pytest.raises(GradsError, match=r"domain 'own': all validation records overlap .*: fix the data, or ask"):
        prepared(tmp_path / "out", (domains, general), "remove")


def test_general_instructions_have_rows_of_their_own(tmp_path: Path, study: Any) -> None:
    _, general = study
    prepared(tmp_path / "out", study, "report")
    write_records(tmp_path / "anchor.parquet", [make_record("Say it.", "", LEAKS[3]), make_record("Else?", "", "No")])
    records = {"own": {part: tmp_path / "out" / "own" / f"{part}.parquet" for part in PARTS}}
    report_overlap(records, general, "report", tmp_path / "overlap.json", [tmp_path / "anchor.parquet"])
    found = {(pair["of"], pair["against"]): pair["any"] for pair in read_json(tmp_path / "overlap.json")["pairs"]}
    assert found["general/anchor", "general/task"] == 1
    assert found["general/anchor", "general/text"] == 0
    assert ("own/train", "general/anchor") not in found
