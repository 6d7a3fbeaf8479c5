"""Records read from JSON lines, and their exact way through Parquet."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.records import COLUMNS, Record, load_records, make_record, read_jsonl_records, rows_by_id, write_records
from grads.runtime.errors import GradsError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_reading_keeps_content_and_counts_the_rest(tmp_path: Path) -> None:
    whole = {"instruction": "Q", "input": "I", "output": " A\n", "source": "s", "group": "g", "id": "x", "score": 1}
    path = write_lines(
        tmp_path / "data.jsonl",
        whole,
        {"instruction": "Q", "output": "A"},
        "",
        {"instruction": "  ", "output": "A"},
        {"instruction": "Q", "output": ""},
        whole | {"source": "elsewhere"},
    )
    records, counts = read_jsonl_records(path)
    assert records == [make_record("Q", "I", " A\n", "s", "g"), make_record("Q", "", "A")]
    assert counts == {"read": 5, "empty": 2, "duplicate": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"instruction": "Q"', r"data.jsonl:2: not JSON"),
        ('["Q", "A"]', r"data.jsonl:2: found a JSON list"),
        ('{"instruction": "Q"}', r"data.jsonl:2: 'output' is missing"),
        ('{"instructions": "Q", "output": "A"}', r"'instruction' is missing \(did you mean 'instructions'\?\)"),
        ('{"instruction": "Q", "output": 3}', r"data.jsonl:2: 'output' is a int"),
        ('{"instruction": "Q", "output": "A", "input": null}', r"data.jsonl:2: 'input' is a NoneType"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(GradsError, match=message):
        read_jsonl_records(write_lines(tmp_path / "data.jsonl", {"instruction": "Q", "output": "A"}, line))


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"none.jsonl is not there"):
        read_jsonl_records(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"instruction": "é", "output": "A"}'.encode("latin-1"))
    with pytest.raises(GradsError, match=r"latin.jsonl:1: .*not UTF-8"):
        read_jsonl_records(tmp_path / "latin.jsonl")


def test_an_id_is_the_content_and_no_more() -> None:
    record = make_record("Q", "I", "A")
    assert record.id == make_record("Q", "I", "A", "source", "group").id
    assert len({record.id, make_record("QI", "", "A").id, make_record("Q", "", "IA").id}) == 3


@given(st.lists(st.builds(make_record, TEXT, TEXT, TEXT, TEXT, TEXT), max_size=5))
def test_parquet_returns_the_same_records(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = tmp_path_factory.mktemp("records") / "train.parquet"
    write_records(path, records)
    assert load_records(path) == records


def test_parquet_of_others_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert COLUMNS == ("id", "instruction", "input", "output", "source", "group")
    with pytest.raises(GradsError, match="is not there"):
        load_records(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(GradsError, match="is not a Parquet file"):
        load_records(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(GradsError, match=r"columns \['id'\]"):
        load_records(tmp_path / "other.parquet")


def test_rows_are_found_by_the_id_of_their_record(tmp_path: Path) -> None:
    first = {"score": 1, "output": "A", "instruction": "Q", "id": "mine"}
    path = write_lines(tmp_path / "data.jsonl", first, "", {"instruction": "Q", "output": "A"}, first | {"input": "I"})
    found = rows_by_id(path)
    assert list(found) == [make_record("Q", "", "A").id, make_record("Q", "I", "A").id]
    number, row = found[make_record("Q", "", "A").id]
    assert (number, list(row)) == (1, list(first))
    assert found[make_record("Q", "I", "A").id][0] == 3
