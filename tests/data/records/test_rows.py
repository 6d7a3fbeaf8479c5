"""Rows of files in the four formats, and what is wrong with broken ones."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.records.rows import parse_rows, read_rows
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


def arrow(rows: list[dict[str, str]], indexed: bool = False) -> bytes:
    buffer = io.BytesIO()
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in ("question", "answer")}
    table = pa.table(columns)
    with (pa.ipc.new_file if indexed else pa.ipc.new_stream)(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return buffer.getvalue()


def zstandard(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as packed:
        packed.write(content)
    return buffer.getvalue().to_pybytes()


WRITERS = [(".jsonl", json_lines), (".json", json_array), (".csv", csv_file), (".parquet", parquet), (".arrow", arrow)]
PACKERS = [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)]
FEW = [{"question": "Q é", "answer": "A"}, {"question": "R", "answer": "two\nlines"}, {"question": "S", "answer": ""}]


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
@given(rows=st.lists(st.fixed_dictionaries({"question": TEXT, "answer": TEXT}), max_size=4))
def test_every_format_gives_back_the_same_rows(
    suffix: str, write: Callable[[list[dict[str, str]]], bytes], rows: list[dict[str, str]]
) -> None:
    found = list(parse_rows(io.BytesIO(write(rows)), f"data{suffix}", "data"))
    assert [row for _, row in found] == rows
    assert len({place for place, _ in found}) == len(rows)


@pytest.mark.parametrize(("suffix", "write"), WRITERS)
@pytest.mark.parametrize(("packed", "pack"), PACKERS)
def test_a_packed_file_gives_the_rows_of_the_plain_one(
    tmp_path: Path,
    suffix: str,
    write: Callable[[list[dict[str, str]]], bytes],
    packed: str,
    pack: Callable[[bytes], bytes],
) -> None:
    whole, name = pack(write(FEW)), f"data{suffix}{packed}"
    (tmp_path / name).write_bytes(whole)
    assert [row for _, row in read_rows(tmp_path / name)] == FEW
    # As a member of an archive, whose handle is read from its beginning to its end.
    assert [row for _, row in parse_rows(io.BytesIO(whole), name, "data")] == FEW
    for broken in (whole[: len(whole) // 2], b"none such"):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(GradsError, match=rf"data\{suffix}\{packed}.*: (cannot be unpacked|not readable)"):
            list(read_rows(tmp_path / name))


def test_lines_of_several_packed_pieces_are_all_read(tmp_path: Path) -> None:
    for packed, pack in PACKERS:
        (tmp_path / f"a.jsonl{packed}").write_bytes(pack(json_lines(FEW[:1])) + pack(json_lines(FEW[1:])))
        assert [row for _, row in read_rows(tmp_path / f"a.jsonl{packed}")] == FEW


def test_an_arrow_file_is_read_in_both_its_forms(tmp_path: Path) -> None:
    for indexed in (False, True):
        (tmp_path / "a.arrow").write_bytes(arrow(FEW, indexed))
        found = list(read_rows(tmp_path / "a.arrow"))
        assert [row for _, row in found] == FEW
        assert found[2][0] == f"{tmp_path / 'a.arrow'}, row 3"


@pytest.mark.parametrize(("suffix", "write"), WRITERS[:3])
def test_a_byte_order_mark_is_no_content(
    tmp_path: Path, suffix: str, write: Callable[[list[dict[str, str]]], bytes]
) -> None:
    mark = "\ufeff".encode()
    for name, content in ((f"a{suffix}", mark + write(FEW)), (f"b{suffix}.gz", gzip.compress(mark + write(FEW)))):
        (tmp_path / name).write_bytes(content)
        assert [row for _, row in read_rows(tmp_path / name)] == FEW
    (tmp_path / "c.jsonl").write_bytes(mark + b"\n" + json_lines(FEW))
    assert [place.rpartition(":")[2] for place, _ in read_rows(tmp_path / "c.jsonl")] == ["2", "3", "4"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_other_encodings_are_refused_by_what_they_are_not(tmp_path: Path, suffix: str, encoding: str) -> None:
    text = '[{"a": "é"}]' if suffix == ".json" else '{"a": "é"}\n'
    (tmp_path / f"a{suffix}").write_bytes(text.encode(encoding))
    with pytest.raises(GradsError, match=rf"a\{suffix}.*: this is not UTF-8.*: convert the file to UTF-8"):
        list(read_rows(tmp_path / f"a{suffix}"))


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
