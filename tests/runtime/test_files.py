import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grads.runtime import files
from grads.runtime.files import (
    atomic_path,
    digest,
    read_json,
    read_jsonl,
    remove,
    sha256_file,
    write_json,
    write_jsonl,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_replaces_a_folder_whole(tmp_path):
    path = tmp_path / "adapter"
    for name in ("first", "second"):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [p.name for p in path.iterdir()] == ["second"]


def test_the_suffix_stays_last_for_writers_that_read_it(tmp_path):
    with atomic_path(tmp_path / "figure.svg") as temporary:
        assert temporary.suffix == ".svg"
        temporary.write_text("x")


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_json_and_jsonl_come_back(tmp_path):
    rows = [{"id": "é", "n": 1}, {"id": "b", "n": None}]
    write_json(tmp_path / "x.json", rows)
    write_jsonl(tmp_path / "x.jsonl", rows)
    assert read_json(tmp_path / "x.json") == read_jsonl(tmp_path / "x.jsonl") == rows


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})


def test_parents_are_made_and_no_other_file_is_touched(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_nothing_is_seen_under_the_name_before_the_end(tmp_path):
    path = tmp_path / "table.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        # Listings by suffix or name do not take the half for the whole.
        assert temporary.name.startswith(".")
    assert path.read_text() == "half"


def test_what_is_written_reaches_the_disk_before_its_name(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: events.append("flushed"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (events.append("renamed"), replace(self, target))[1])
    write_text(tmp_path / "x.txt", "1")
    assert events == ["flushed", "renamed"]


def test_a_file_takes_the_place_of_a_file_and_a_folder_of_a_folder(tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "old").touch()
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "adapter") as temporary:
        temporary.mkdir()
        raise RuntimeError
    # The old folder goes only when the new one is whole.
    assert (tmp_path / "adapter" / "old").exists()
    write_text(tmp_path / "x", "1")
    write_text(tmp_path / "x", "2")
    assert (tmp_path / "x").read_text() == "2"


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path):
    (tmp_path / ".table.999999.part.csv").write_text("half")
    write_text(tmp_path / "table.csv", "whole")
    assert (tmp_path / "table.csv").read_text() == "whole"


def test_removing_a_link_leaves_what_it_points_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("link", "link", "nothing"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "kept"]
    remove(tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_blank_lines_of_jsonl_are_passed_over_and_nan_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n\n  \n{"a": 2}')
    assert read_jsonl(tmp_path / "x.jsonl") == [{"a": 1}, {"a": 2}]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "y.jsonl", [{"a": 1.0}, {"a": float("inf")}])
    assert not (tmp_path / "y.jsonl").exists()
    write_jsonl(tmp_path / "z.jsonl", [{"b": "é", "a": "line\nbreak"}])
    assert (tmp_path / "z.jsonl").read_text(encoding="utf-8") == '{"b": "é", "a": "line\\nbreak"}\n'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25)
@given(JSON)
def test_any_json_value_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@given(JSON, st.integers(1, 64))
def test_a_digest_is_the_hash_of_canonical_json(value, length):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest(value) == hashlib.sha256(text.encode()).hexdigest()
    assert digest(value, length) == digest(value)[:length]


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=5), st.randoms())
def test_equal_values_have_equal_bytes_whatever_the_order_of_their_keys(tmp_path_factory, value, shuffler):
    folder = tmp_path_factory.getbasetemp()
    keys = shuffler.sample(list(value), len(value))
    write_json(folder / "one.json", value)
    write_json(folder / "other.json", {key: value[key] for key in keys})
    assert sha256_file(folder / "one.json") == sha256_file(folder / "other.json")


def test_a_digest_of_what_json_has_not_is_refused():
    for value in (float("nan"), {"a": {1, 2}}, Path("x")):
        with pytest.raises((ValueError, TypeError)):
            digest(value)
