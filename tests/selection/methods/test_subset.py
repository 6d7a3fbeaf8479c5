"""Somebody's own selection: file formats, records by id and by content, the order, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grads.data.records.record import make_record
from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.subset import METHOD, Subset

RECORDS = [make_record(f"Question {number}", "", f"Answer {number}") for number in range(6)]
IDS = [record.id for record in RECORDS]


def inputs(count: int = 6) -> Inputs:
    return Inputs({"tokens": pd.DataFrame({"id": IDS})}, {}, {}, count, 0)


def choose(path: Path, count: int = 6, **parameters: Any) -> Choice:
    return METHOD.select(inputs(count), Subset(file=str(path), **parameters))


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_order_of_the_file_is_the_order_of_choice(tmp_path: Path) -> None:
    path = lines(tmp_path / "ids.jsonl", [{"id": IDS[4]}, {"id": IDS[1]}, {"id": IDS[2]}, {"id": IDS[1]}])
    choice = choose(path)
    assert choice.order.tolist() == [4, 1, 2]
    assert choice.score.tolist() == pytest.approx([0, 2 / 3, 1 / 3, 0, 1, 0])
    assert choose(path, count=2).order.tolist() == [4, 1]
    assert choice.notes == {"in_file": 3, "skipped": 0}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_ids_in_any_format(suffix: str, tmp_path: Path) -> None:
    table, path = pd.DataFrame({"id": [IDS[5], IDS[0]], "kind": ["a", "b"]}), tmp_path / f"ids{suffix}"
    writers = {
        ".jsonl": lambda: table.to_json(path, orient="records", lines=True),
        ".json": lambda: table.to_json(path, orient="records"),
        ".csv": lambda: table.to_csv(path, index=False),
        ".parquet": lambda: table.to_parquet(path),
    }
    writers[suffix]()
    assert choose(path).order.tolist() == [5, 0]


def test_whole_records_are_found_by_their_content_whatever_their_id(tmp_path: Path) -> None:
    rows = [{"id": "77", "prompt": "Question 3", "completion": "Answer 3"}, {"id": IDS[0]}]
    assert choose(lines(tmp_path / "records.jsonl", rows)).order.tolist() == [3, 0]
    renamed = lines(tmp_path / "renamed.jsonl", [{"id": "78", "q": "Question 2", "a": "Answer 2"}])
    assert choose(renamed, fields={"prompt": "q", "completion": "a"}).order.tolist() == [2]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_of_a_selection_the_kept_records_count(suffix: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [IDS[2], IDS[3], IDS[0]], "score": [3.0, 2.0, 1.0], "kept": [True, False, True]})
    path = tmp_path / f"selection{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    assert choose(path).order.tolist() == [2, 0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_ranks_are_the_order_of_choice(suffix: str, tmp_path: Path) -> None:
    """Our scores stand in the order of the data."""
    path = tmp_path / f"own.scores{suffix}"
    table = pd.DataFrame({"record": [1, 2, 3], "id": IDS[:3], "rank": [3, 10, 2], "kept": [True, False, True]})
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_json(path, orient="records", lines=True)
    assert choose(path).order.tolist() == [2, 0]
    table.assign(rank=["c", 10, 2]).to_csv(tmp_path / "other.csv", index=False)
    assert choose(tmp_path / "other.csv").order.tolist() == [0, 2]


@pytest.mark.parametrize(("yes", "no"), [(1, 0), ("1", "0"), ("TRUE", "False"), (True, False)])
def test_kept_is_said_in_several_ways(yes: Any, no: Any, tmp_path: Path) -> None:
    rows = [{"id": IDS[2], "kept": yes}, {"id": IDS[3], "kept": no}, {"id": IDS[0]}]
    assert choose(lines(tmp_path / "selection.jsonl", rows)).order.tolist() == [2, 0]


@pytest.mark.parametrize("said", ["no", 2, None, ""])
def test_kept_that_says_neither_is_refused(said: Any, tmp_path: Path) -> None:
    path = lines(tmp_path / "selection.jsonl", [{"id": IDS[2], "kept": True}, {"id": IDS[3], "kept": said}])
    with pytest.raises(GradsError, match=r"selection\.jsonl:2: 'kept' is .*: write true or false, or 1 or 0"):
        choose(path)


def test_auto_counts_the_records_of_the_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "ids.jsonl", [{"id": IDS[4]}, {"id": IDS[1]}, {"id": "elsewhere"}])
    count = METHOD.automatic_count(Subset(file=str(path), unknown="skip"))
    assert count is not None
    assert count(inputs()) == 2


def test_unknown_records_are_refused_with_counts_or_skipped(tmp_path: Path) -> None:
    path = lines(tmp_path / "ids.jsonl", [{"id": IDS[4]}, {"id": "x"}, {"id": "y"}])
    with pytest.raises(
        GradsError, match=r"ids.jsonl: 2 of 3 records are not in the pool of 6 \(first: .*ids.jsonl:2\)"
    ):
        choose(path)
    choice = choose(path, unknown="skip")
    assert (choice.order.tolist(), choice.notes) == ([4], {"in_file": 1, "skipped": 2})
    with pytest.raises(GradsError, match="none of its 1 records is in the pool"):
        choose(lines(tmp_path / "none.jsonl", [{"id": "x"}]), unknown="skip")


def test_a_file_that_names_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"gone\.jsonl is not there"):
        choose(tmp_path / "gone.jsonl")
    with pytest.raises(GradsError, match=r"ids.jsonl:1: 'instruction' is missing"):
        choose(lines(tmp_path / "ids.jsonl", [{"number": 3}]))
    with pytest.raises(GradsError, match="none of its 0 records"):
        choose(lines(tmp_path / "empty.jsonl", []))


def test_the_file_is_needed() -> None:
    assert METHOD.needs(Subset(file="mine.csv")).files == ("mine.csv",)
