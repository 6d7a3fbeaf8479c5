"""General instructions: draws that share nothing with each other or with what is measured."""

import json
from pathlib import Path

import pytest

from grads.config.general import Instructions
from grads.config.sources import FileSource
from grads.data.instructions import prepare_instructions
from grads.data.records.record import load_records, make_record, write_records
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_jsonl

# Eight words in a row that stand in a test record too, the question of one, and a passage of the general text.
ROW = "one two three four five six seven eight"
SHARED = ["Which number follows " + ROW, "What is the capital?", "Say: the quick brown fox jumps over the lazy dog"]


def prepare(
    folder: Path, anchor: int = 5, replay: int = 4, seed: int = 0, reverse: bool = False
) -> dict[str, set[str]]:
    """Draw from 20 records and SHARED, an empty one and a repeated one; return the drawn questions."""
    questions = [*(f"Q{number}" for number in range(20)), *SHARED, "Q3"]
    rows = [{"prompt": text, "completion": "A"} for text in questions] + [{"prompt": "P", "completion": ""}]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, reversed(rows) if reverse else rows)))
    tests = [make_record("Count.", "", f"{ROW}, and on"), make_record(SHARED[1], "", "B")]
    write_records(folder / "d" / "test.parquet", tests)
    write_jsonl(folder / "text.jsonl", [{"text": "The quick brown fox jumps over the lazy dog."}])
    source = FileSource(kind="file", path=str(folder / "data.jsonl"))
    section = Instructions(source=source, anchor=anchor, replay=replay)
    given = (section, seed, {}, [folder / "d" / "test.parquet"], [folder / "text.jsonl"])
    prepare_instructions(*given, folder / "general")
    drawn = {name: load_records(folder / "general" / f"{name}.parquet") for name in ("anchor", "replay")}
    assert [len(drawn["anchor"]), len(drawn["replay"])] == [anchor, replay]
    return {name: {record.instruction for record in records} for name, records in drawn.items()}


def test_draws_are_disjoint_and_share_nothing_with_what_is_measured(tmp_path: Path) -> None:
    drawn = prepare(tmp_path, anchor=12, replay=8)
    assert drawn["anchor"] | drawn["replay"] == {f"Q{number}" for number in range(20)}
    counts = read_json(tmp_path / "general" / "instructions.json")
    assert counts == {"read": 25, "empty": 1, "duplicate": 1, "anchor": 12, "replay": 8, "overlapping": 3}


def test_a_draw_depends_on_the_seed_and_its_own_number_alone(tmp_path: Path) -> None:
    drawn = prepare(tmp_path)
    assert prepare(tmp_path, reverse=True) == drawn
    assert prepare(tmp_path, seed=1) != drawn
    more = prepare(tmp_path, anchor=9)
    assert more["replay"] == drawn["replay"]
    assert more["anchor"] > drawn["anchor"]
    assert prepare(tmp_path, replay=0)["anchor"] == drawn["anchor"]


def test_more_than_there_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"anchor and replay ask for 21 of 20 usable records \(3 overlap with test"):
        prepare(tmp_path, anchor=12, replay=9)
