"""Rows of files in the four formats, and what is wrong with broken ones."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.rows import parse_rows, read_rows
from grads.runtime.errors import GradsError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def json_lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def json_array(rows: list[dict[str, str]]) -> bytes:
    return json.dumps(rows, indent=1, ensure_ascii=False).encode()


def csv_file(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["question", "answer"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: list[dict[str, str]]) -> bytes:
    buffer = io.BytesIO()
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in ("question", "answer")}
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "write"), [(".jsonl", json_lines), (".json", json_array), (".csv", csv_file), (".parquet", parquet)]
)
@given(rows=st.lists(st.fixed_dictionaries({"question": TEXT, "answer": TEXT}), max_size=4))
def test_every_format_gives_back_the_same_rows(
    suffix: str, write: Callable[[list[dict[str, str]]], bytes], rows: list[dict[str, str]]
) -> None:
    found = list(parse_rows(io.BytesIO(write(rows)), f"data{suffix}", "data"))
    assert [row for _, row in found] == rows
    assert len({place for place, _ in found}) == len(rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"x", r"a\.txt is none of \.jsonl, \.json, \.csv, \.parquet"),
        ("a.jsonl", b'{"a": 1}\n{"a"', r"a\.jsonl:2: not JSON .*, column 5\)"),
        ("a.jsonl", b"[1]", r"a\.jsonl:1: found a JSON list"),
        ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}", r"a\.jsonl:1: not readable as JSON"),
        ("a.jsonl", b"[" * 200_000, r"a\.jsonl:1: not readable as JSON"),
        ("a.jsonl", '{"a": "é"}'.encode("latin-1"), r"a\.jsonl:1: this is not UTF-8"),
        ("a.json", b'{"a": 1}', r"a\.json: found a JSON dict: write one array"),
        ("a.json", b'[{"a": 1}, 2]', r"a\.json, item 2: found a JSON int"),
        ("a.json", b'[\n{"a": 1},\n]', r"a\.json: not JSON .*line \d, column 1"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", r"a\.csv:3: this row has not 2 cells"),
        ("a.csv", b"a,b\n1\n", r"a\.csv:2: this row has not 2 cells"),
        ("a.csv", b"a,a\n1,2\n", r"a\.csv:1: a column name stands twice"),
        ("a.csv", b'a,b\n"1,2\n', r"a\.csv:\d: not CSV \(unexpected end"),
        ("a.csv", "a,é\n".encode("latin-1"), r"a\.csv: this is not UTF-8"),
        ("a.parquet", b"PAR1", r"a\.parquet: not readable as Parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GradsError, match=message) as raised:
        list(read_rows(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"none\.csv is not there"):
        list(read_rows(tmp_path / "none.csv"))


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    long = "x" * 200_000
    (tmp_path / "a.CSV").write_bytes("\ufeffquestion,answer\r\n".encode() + f'"a ""b"",\r\nc",{long}\r\n'.encode())
    assert [row for _, row in read_rows(tmp_path / "a.CSV")] == [{"question": 'a "b",\r\nc', "answer": long}]


def test_parquet_keeps_lists_of_turns_and_nulls(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "Q", "weight": None}], "input": None},
        {"messages": [{"role": "user", "content": "R", "weight": 1}], "input": "I"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == [
        (f"{tmp_path / 'a.parquet'}, row {number}", row) for number, row in enumerate(rows, start=1)
    ]
