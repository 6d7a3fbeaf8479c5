"""Records as a table: their texts, and their metadata as numbers or as they are."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grads.data.records.layouts import read_records
from grads.data.records.record import make_record, write_records
from grads.data.records.texts import text_table
from grads.runtime.errors import GradsError

FIELDS = ["quality", "topic"]
ROWS = [
    {"quality": 3, "topic": "law"},
    {"quality": 4.5, "topic": None},
    {"quality": float("nan")},
    {"topic": 7, "unread": [1]},
]


def written(folder: Path, suffix: str) -> Path:
    """Write ROWS as data of one's own, read them, and return the file of records."""
    data, rows = folder / f"data{suffix}", [{"instruction": f"Q{i}", "output": "A"} | row for i, row in enumerate(ROWS)]
    if suffix == ".jsonl":
        data.write_text("\n".join(json.dumps(row) for row in rows))
    elif suffix == ".csv":
        with data.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["instruction", "output", *FIELDS], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(
                row | ({"quality": ""} if row.get("quality") != row.get("quality") else {}) for row in rows
            )
    else:
        pd.DataFrame(rows).assign(topic=["law", None, None, "7"]).drop(columns="unread").to_parquet(data)
    records, _ = read_records(data, {}, "last", FIELDS)
    write_records(folder / "train.parquet", records)
    return folder / "train.parquet"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_numbers_stay_numbers_whatever_the_file(tmp_path: Path, suffix: str) -> None:
    table = text_table(written(tmp_path, suffix))
    assert table["id"].is_monotonic_increasing
    assert list(table.columns) == ["id", "instruction", "input", "output", "source", *FIELDS]
    table = table.sort_values("instruction")
    np.testing.assert_array_equal(table["quality"], [3, 4.5, np.nan, np.nan])
    assert table["quality"].dtype == np.float64
    assert [str(value) for value in table["topic"]] == ["law", "None", "None", "7"]


def test_records_without_metadata_have_their_texts(tmp_path: Path) -> None:
    write_records(tmp_path / "r.parquet", [make_record("Q", "I", "A", "S"), make_record("P", "", "B")])
    table = text_table(tmp_path / "r.parquet").sort_values("instruction")
    assert table.drop(columns="id").to_numpy().tolist() == [["P", "", "B", ""], ["Q", "I", "A", "S"]]
    write_records(tmp_path / "none.parquet", [])
    assert text_table(tmp_path / "none.parquet").empty


def test_metadata_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"instruction": "Q", "output": "A", "tags": ["a"]}')
    with pytest.raises(GradsError, match=r"d\.jsonl:1: 'tags' is a list: metadata are numbers or texts"):
        read_records(tmp_path / "d.jsonl", {}, "last", ["tags"])
    with pytest.raises(GradsError, match=r"'metadata' names 'tag', but no row has it: did you mean 'tags'"):
        read_records(tmp_path / "d.jsonl", {}, "last", ["tag"])
