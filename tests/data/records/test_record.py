"""Records: their ids, and their exact way through Parquet."""

import dataclasses
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.records.record import COLUMNS, Record, Turn, load_records, make_record, own_ids, write_records
from grads.runtime.errors import GradsError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_an_id_is_the_content_and_no_more() -> None:
    record = make_record("Q", "I", "A")
    assert record.id == make_record("Q", "I", "A", "source", "group", metadata={"quality": 3.5}).id
    assert len({record.id, make_record("QI", "", "A").id, make_record("Q", "", "IA").id}) == 3
    # Ids are in results of earlier versions: they stay.
    assert record.id == hashlib.sha256(b"Q\x1fI\x1fA").hexdigest()[:16]


def test_an_id_counts_earlier_turns_and_not_their_loss() -> None:
    turns = [Turn("user", "Hello"), Turn("assistant", "Hi", loss=True)]
    record = make_record("Q", "", "A", turns=turns)
    assert record.id == make_record("Q", "", "A", turns=[turns[0], Turn("assistant", "Hi")]).id
    others = [[], [Turn("user", "Hello"), Turn("assistant", "Ho")], [Turn("system", "Hello"), *turns]]
    assert record.id not in {make_record("Q", "", "A", turns=other).id for other in others}


TURN = st.builds(Turn, st.sampled_from(["system", "developer", "user", "assistant"]), TEXT, st.booleans())
METADATA = st.dictionaries(TEXT, st.none() | TEXT | st.floats(allow_nan=False, allow_infinity=False))


FIELDS = (TEXT, TEXT, TEXT, TEXT, TEXT, st.lists(TURN, max_size=3), METADATA, st.lists(TEXT, max_size=3), TEXT)


@given(st.lists(st.builds(make_record, *FIELDS), max_size=5))
def test_parquet_returns_the_same_records(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = tmp_path_factory.mktemp("records") / "train.parquet"
    write_records(path, records)
    assert load_records(path) == records
    assert [record.own_id for record in load_records(path)] == [record.own_id for record in records]


def test_an_owners_id_is_no_content(tmp_path: Path) -> None:
    record = make_record("Q", "I", "A", own_id="7")
    assert record == make_record("Q", "I", "A")
    write_records(tmp_path / "train.parquet", [record, make_record("R", "", "A")])
    assert own_ids(tmp_path / "train.parquet") == {record.id: "7"}


def test_what_a_record_is_connected_with_is_kept_and_is_no_content(tmp_path: Path) -> None:
    alone = make_record("q", "", "a")
    connected = dataclasses.replace(alone, connected="group")
    assert connected == alone
    write_records(tmp_path / "train.parquet", [connected, alone])
    assert [record.connected for record in load_records(tmp_path / "train.parquet")] == ["group", ""]


def test_parquet_of_others_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = ("id", "instruction", "input", "output", "source", "group", "metadata", "turns", "references")
    assert (*content, "own_id", "connected") == COLUMNS
    with pytest.raises(GradsError, match="is not there"):
        load_records(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(GradsError, match="is not a Parquet file"):
        load_records(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(GradsError, match=r"columns \['id'\]"):
        load_records(tmp_path / "other.parquet")
