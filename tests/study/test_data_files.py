"""Folders as data sets: saved ones, and shards of one format."""

import json
from pathlib import Path

import pytest

from grads.data.records.layouts import read_records
from grads.data.records.rows import read_rows
from grads.runtime.errors import GradsError
from grads.study.data_files import data_files, format_of

ROWS = [{"instruction": f"Q{number}", "output": f"A{number}"} for number in range(5)]


def write(folder: Path, *names: str) -> Path:
    """Write five rows to files of JSON lines, each its share; return the folder."""
    folder.mkdir(exist_ok=True, parents=True)
    for number, name in enumerate(names):
        mine = ROWS[len(ROWS) * number // len(names) : len(ROWS) * (number + 1) // len(names)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in mine), encoding="utf-8")
    return folder


def names_of(folder: Path) -> list[str]:
    return [path.name for path in data_files(folder)]


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"],
        ["train-00000-of-00002-9f3a.jsonl", "train-00001-of-00002-01bc.jsonl"],
        ["data-00001-of-00003.jsonl", "data-00002-of-00003.jsonl", "data-00003-of-00003.jsonl"],
        ["00000-of-00001.jsonl"],
        ["part.2.jsonl", "part.10.jsonl"],
        ["part-00000-5d1e-c000.jsonl", "part-00001-5d1e-c000.jsonl"],
        ["1.jsonl", "2.jsonl", "10.jsonl"],
        ["v2.0_part_1.jsonl", "v2.0_part_2.jsonl"],
        ["train.jsonl"],
        ["train_1.jsonl", "train_2.jsonl"],
    ],
)
def test_shards_are_read_one_after_another(tmp_path: Path, names: list[str]) -> None:
    folder = write(tmp_path / "data", *names)
    for other in ("README.md", "dataset_infos.json", ".hidden.jsonl", "_SUCCESS", "_log.json"):
        (folder / other).write_text("no data", encoding="utf-8")
    assert names_of(folder) == names
    assert [row for _, row in read_rows(folder)] == ROWS
    places = [place for place, _ in read_rows(folder)]
    assert places[0] == f"{folder / names[0]}:1"
    assert len(set(places)) == len(ROWS)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-00000-of-00003.jsonl", "train-00002-of-00003.jsonl"], r"lacks 1 of its 3 files \(00001-of-00003\)"),
        (["train-00001-of-00002.jsonl"], r"lacks 1 of its 2 files"),
        (
            ["a-00000-of-00002.jsonl", "a-00001-of-00002.jsonl", "b-00000-of-00001.jsonl"],
            r"several splits or data sets \(a, b\)",
        ),
        (["train-00000-of-00001.jsonl", "test-00000-of-00001.jsonl"], r"several .* \(test, train\)"),
        (["train.jsonl", "test.jsonl"], r"several .* \(test, train\)"),
        (["law_train1.jsonl", "law_dev1.jsonl"], r"several .* \(law_dev, law_train\)"),
        (["train.jsonl", "train-00000-of-00001.jsonl"], "more than one set of shards"),
        (["a-00000-of-00001-x.jsonl", "a-00000-of-00001-y.jsonl"], "more than one set of shards"),
        (["a-00000-of-00002.jsonl", "a-00001-of-00003.jsonl"], "more than one set of shards"),
        (["a.jsonl", "b.csv"], r"several formats \(\.csv, \.jsonl\)"),
        (["a.jsonl", "a.jsonl.gz"], r"several formats \(\.jsonl, \.jsonl\.gz\)"),
        (["README.md"], "without data files: name another"),
    ],
)
def test_a_folder_that_is_no_whole_data_set_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    folder = write(tmp_path / "data", *names)
    with pytest.raises(GradsError, match=rf"{folder} is a folder .*{said}"):
        list(read_rows(folder))


def test_a_folder_above_the_data_is_named(tmp_path: Path) -> None:
    write(tmp_path / "data", "train.jsonl")
    with pytest.raises(GradsError, match=r"without data files: name one of its folders \(data\)"):
        names_of(tmp_path)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_saved_data_set_is_read(tmp_path: Path, shards: int) -> None:
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved", num_shards=shards)
    assert [row for _, row in read_rows(tmp_path / "saved")] == ROWS
    records, counts = read_records(tmp_path / "saved")
    assert [record.output for record in records] == [row["output"] for row in ROWS]
    assert counts == {"read": 5, "empty": 0, "duplicate": 0}
    if shards > 1:
        names_of(tmp_path / "saved")
        (tmp_path / "saved" / f"data-00001-of-{shards:05}.arrow").unlink()
        with pytest.raises(GradsError, match=r"saved .* lacks 1 of its 3 files \(data-00001-of-00003\.arrow\)"):
            names_of(tmp_path / "saved")


def test_of_saved_splits_one_is_named(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    splits = {"train": Dataset.from_list(ROWS[:3]), "test": Dataset.from_list(ROWS[3:])}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    with pytest.raises(GradsError, match=r"saved .* several splits \(test, train\): name the folder of one"):
        names_of(tmp_path / "saved")
    assert [row for _, row in read_rows(tmp_path / "saved" / "train")] == ROWS[:3]


def test_a_saved_data_set_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"_data_files": 3}', encoding="utf-8")
    with pytest.raises(GradsError, match=r"state\.json is not what the datasets library writes"):
        names_of(tmp_path)
    (tmp_path / "state.json").write_text('{"_data_files": [], "_indices_data_files": [1]}', encoding="utf-8")
    with pytest.raises(GradsError, match="save it again"):
        names_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jsonl", ".jsonl"),
        ("a.v2.JSONL.GZ", ".jsonl.gz"),
        ("a.csv.zst", ".csv.zst"),
        ("a.gz", None),
        ("a.txt.gz", None),
        ("jsonl", None),
        ("a.jsonl.zip", None),
    ],
)
def test_a_format_is_in_the_end_of_a_name(name: str, form: str | None) -> None:
    assert format_of(name) == form
