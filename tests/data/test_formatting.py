"""Formatting with the tiny model's tokenizer: prompts, answers, ends, lengths."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.formatting import Formatter
from grads.data.records import Record, make_record
from grads.models.load import load_tokenizer
from grads.runtime.errors import GradsError
from grads.study.config import Format

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
CHAT = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ\n\nI<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder: Path) -> Any:
    return load_tokenizer(tiny_model_folder)


def test_prompts_as_text(tokenizer: Any) -> None:
    record = make_record("Q", "I", "A")
    assert Formatter(tokenizer, Format(system="S")).prompt_text(record) == CHAT
    plain = Formatter(tokenizer, Format(template="plain"))
    assert plain.prompt_text(record) == "### Instruction:\nQ\n\nI\n\n### Response:\n"
    assert plain.prompt_text(make_record("Q", "", "A")) == "### Instruction:\nQ\n\n### Response:\n"


@pytest.mark.parametrize("template", ["chat", "plain"])
@given(instruction=TEXT, answer=TEXT)
def test_the_prompt_is_a_prefix_and_the_answer_ends(
    tokenizer: Any, template: str, instruction: str, answer: str
) -> None:
    formatter = Formatter(tokenizer, Format(template=template))
    record = make_record(instruction, "", answer)
    example = formatter.example(record)
    assert example.input_ids[: example.prompt_tokens] == formatter.prompt_ids(record)
    response = example.input_ids[example.prompt_tokens :]
    assert response[-1] == formatter.end_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.decode(response[:-1]) == answer
    assert example.response_tokens == len(answer.encode()) + 1
    assert example.id == record.id


def test_chat_prompts_get_no_second_special_tokens(tokenizer: Any) -> None:
    ids = Formatter(tokenizer, Format(system="S")).prompt_ids(make_record("Q", "I", "A"))
    assert tokenizer.decode(ids) == CHAT
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_start|>")) == 3


def test_an_answer_that_spells_out_the_end_does_not_end_there(tokenizer: Any) -> None:
    formatter = Formatter(tokenizer, Format())
    example = formatter.example(make_record("Q", "", "write <|im_end|> last"))
    response = example.input_ids[example.prompt_tokens :]
    assert response.index(formatter.end_id) == len(response) - 1
    assert tokenizer.decode(response[:-1]) == "write <|im_end|> last"


@pytest.fixture
def long_records() -> list[Record]:
    return [make_record("Q", "", "a" * 5), make_record("Q", "", "b" * 50), make_record("Q" * 200, "", "c")]


@pytest.mark.parametrize("over_length", ["drop", "truncate"])
def test_over_length_records_are_counted(tokenizer: Any, long_records: list[Record], over_length: Any) -> None:
    formatter = Formatter(tokenizer, Format(template="plain"))
    limit = formatter.example(long_records[0]).prompt_tokens + 20
    found = formatter.tokenize(long_records, limit, over_length)
    if over_length == "drop":
        assert [example.id for example in found.examples] == [long_records[0].id]
        assert (found.over_length, found.truncated) == (2, 0)
        return
    assert (found.over_length, found.truncated) == (1, 1)
    cut = found.examples[1]
    assert cut.truncated
    assert len(cut.input_ids) == limit
    assert cut.input_ids == formatter.example(long_records[1]).input_ids[:limit]
    assert not found.examples[0].truncated


def test_exactly_the_limit_is_kept_whole(tokenizer: Any, long_records: list[Record]) -> None:
    formatter = Formatter(tokenizer, Format())
    whole = formatter.example(long_records[1])
    found = formatter.tokenize([long_records[1]], len(whole.input_ids), "truncate")
    assert found.examples == [whole]


def test_the_hash_follows_what_shapes_a_prompt(tokenizer: Any) -> None:
    hashes = {Formatter(tokenizer, form).sha256 for form in (Format(), Format(system="S"), Format(template="plain"))}
    assert len(hashes) == 3
    assert Formatter(tokenizer, Format()).sha256 in hashes


def test_a_tokenizer_without_what_is_needed_is_refused(tiny_model_folder: Path) -> None:
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.chat_template = None
    with pytest.raises(GradsError, match=r"format\.template to 'plain'"):
        Formatter(tokenizer, Format())
    tokenizer.eos_token = None
    with pytest.raises(GradsError, match="no end-of-sequence token"):
        Formatter(tokenizer, Format(template="plain"))
