import pytest

from benchmarks.examples import Item, layouts, medquad, read_items, synthetic, write_items
from grads.data.records.record import make_record
from grads.models.prepare import byte_tokenizer
from grads.runtime.errors import GradsError
from grads.runtime.files import read_jsonl, write_jsonl


def records(count):
    return [make_record(f"What is {number}?", "", "A number." + "!" * number * 40) for number in range(count)]


def test_both_layouts_hold_the_same_records_and_responses():
    tokenizer = byte_tokenizer()
    found = layouts(records(14), tokenizer, 6)
    plain, chat = found["plain"], found["chat"]
    assert [item.id for item in plain] == [item.id for item in chat]
    assert all(len(item.input_ids) <= 512 for item in (*plain, *chat))
    for one, other in zip(plain, chat, strict=True):
        assert one.input_ids[one.prompt_tokens :] == other.input_ids[other.prompt_tokens :]
        assert one.prompt_tokens != other.prompt_tokens
        assert "A number." in one.text


def test_more_records_than_there_are_short_ones_are_refused():
    with pytest.raises(GradsError, match="--records"):
        layouts(records(14), byte_tokenizer(), 14)


def test_examples_come_back_from_their_file(tmp_path):
    items = [*synthetic(2, 9, vocabulary=50), Item("a", [1, 2, 3], 1, text="b")]
    assert read_items(read_jsonl(write_items(items, tmp_path / "folder" / "items.jsonl"))) == items
    assert items[0].prompt_tokens == 2
    assert items[0].input_ids != items[1].input_ids


def test_medquad_is_read_from_json_lines(tmp_path):
    path = tmp_path / "medquad.jsonl"
    write_jsonl(path, [{"id": "m-1", "instruction": "What is ague?", "input": "", "output": "A fever."}])
    (record,) = medquad(path)
    assert (record.question, record.output) == ("What is ague?", "A fever.")
