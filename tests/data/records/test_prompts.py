"""Prompts without answers."""

from dataclasses import fields

from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.data.records.prompts import QuestionPrompt, load_prompts
from grads.data.records.record import make_record, write_records
from grads.models.load import load_tokenizer


def test_prompts_are_those_of_evaluation_and_know_no_answer(tmp_path, tiny_model_folder):
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    records = [make_record(f"Define {i}.", "", f"meaning {i}") for i in range(4)]
    write_records(tmp_path / "test.parquet", records)
    found = load_prompts(tmp_path / "test.parquet", formatter, 512)
    assert [list(one.input_ids) for one in found] == [formatter.prompt_ids(record) for record in records]
    assert len({one.id for one in found}) == 4
    assert {part.name for part in fields(QuestionPrompt)} == {"id", "input_ids"}


def test_other_answers_give_the_same_prompts(tmp_path, tiny_model_folder):
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    for name, answers in (("one", ["yes"]), ("other", ["no, not at all", "perhaps"])):
        write_records(tmp_path / name, [make_record("Is it?", "so", answer) for answer in answers])
    one, other = (load_prompts(tmp_path / name, formatter, 512) for name in ("one", "other"))
    # Ids, too, and a question that is there twice counts once.
    assert one == other
    assert len(one) == 1


def test_what_is_too_long_is_left_out(tmp_path, tiny_model_folder):
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    records = [make_record("Short.", "", "yes"), make_record("Long " * 50, "", "yes")]
    write_records(tmp_path / "test.parquet", records)
    longest = len(formatter.prompt_ids(records[0]))
    found = load_prompts(tmp_path / "test.parquet", formatter, longest)
    assert [list(one.input_ids) for one in found] == [formatter.prompt_ids(records[0])]
