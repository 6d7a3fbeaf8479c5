"""Formatting with the tiny model's tokenizer: prompts, answers, ends, lengths."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from grads.config.models import Format
from grads.data.records.formatting import Example, Formatter, without_end_token
from grads.data.records.record import Record, Turn, make_record
from grads.models.load import load_tokenizer
from grads.runtime.errors import GradsError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
CHAT = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ\n\nI<|im_end|>\n<|im_start|>assistant\n"
RECORD = make_record("Q", "I", "A")


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


TURNS = [
    Turn("user", "Q1"),
    Turn("assistant", " one <|im_end|> ", loss=True),
    Turn("user", "Q2"),
    Turn("assistant", "two"),
]


def spans(tokenizer: Any, example: Example) -> list[str]:
    """Return what carries loss, span by span, as text."""
    ends = (*example.earlier, (example.prompt_tokens, len(example.input_ids)))
    return [tokenizer.decode(example.input_ids[start:stop]) for start, stop in ends]


def test_a_conversation_is_the_templates_own(tokenizer: Any) -> None:
    record = make_record("Q3", "", "three", turns=TURNS)
    formatter = Formatter(tokenizer, Format(system="S"))
    example = formatter.example(record)
    said = [{"role": "system", "content": "S"}, *({"role": t.role, "content": t.content} for t in TURNS)]
    said += [{"role": "user", "content": "Q3"}]
    prompt = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    assert formatter.prompt_text(record) == prompt
    assert tokenizer.decode(example.input_ids) == prompt + "three<|im_end|>"
    assert formatter.prompt_ids(record) == example.input_ids[: example.prompt_tokens]
    # The answer that spells out the end of turn does not end there: four turns end, and the last answer.
    assert example.input_ids.count(formatter.end_id) == 7
    assert spans(tokenizer, example) == [" one <|im_end|> <|im_end|>", "three<|im_end|>"]


@pytest.mark.parametrize("template", ["chat", "plain"])
@given(answers=st.lists(st.tuples(TEXT, TEXT, st.booleans()), max_size=3), last=TEXT, system=st.none() | TEXT)
def test_loss_is_on_the_marked_answers_and_their_ends(
    tokenizer: Any, template: str, answers: list[tuple[str, str, bool]], last: str, system: str | None
) -> None:
    turns = [] if system is None else [Turn("system", system)]
    for question, answer, loss in answers:
        turns += [Turn("user", question), Turn("assistant", answer, loss)]
    formatter = Formatter(tokenizer, Format(template=template))
    record = make_record("Q", "", last, turns=turns)
    example = formatter.example(record)
    # In the plain template only the last answer ends with the end token.
    end = "<|im_end|>" if template == "chat" else ""
    wanted = [f"{answer}{end}" for _, answer, loss in answers if loss] + [f"{last}<|im_end|>"]
    assert spans(tokenizer, example) == wanted
    assert tokenizer.decode([example.input_ids[i] for i in example.response_positions]) == "".join(wanted)
    assert example.response_tokens == len(example.response_positions)
    assert example.response_tokens == sum(len(text.encode()) - 9 * text.endswith("<|im_end|>") for text in wanted)
    assert formatter.prompt_ids(record) == example.input_ids[: example.prompt_tokens]
    assert tokenizer.decode(formatter.prompt_ids(record)) == formatter.prompt_text(record)


def test_a_plain_conversation(tokenizer: Any) -> None:
    turns = [Turn("system", "S"), Turn("user", "Q1"), Turn("assistant", "A1")]
    text = Formatter(tokenizer, Format(template="plain")).prompt_text(make_record("Q2", "I", "A2", turns=turns))
    assert text == ("S\n\n### Instruction:\nQ1\n\n### Response:\nA1\n\n### Instruction:\nQ2\n\nI\n\n### Response:\n")


def test_a_records_own_system_turn_wins(tokenizer: Any) -> None:
    record = make_record("Q", "", "A", turns=[Turn("system", "own")])
    text = Formatter(tokenizer, Format(system="config")).prompt_text(record)
    assert text.startswith("<|im_start|>system\nown<|im_end|>\n<|im_start|>user")
    assert "config" not in text


def test_the_plain_form_begins_with_the_system_prompt(tokenizer: Any) -> None:
    formatter = Formatter(tokenizer, Format(template="plain", system="config"))
    plain = "### Instruction:\nQ\n\n### Response:\n"
    assert formatter.prompt_text(make_record("Q", "", "A")) == f"config\n\n{plain}"
    assert formatter.prompt_text(make_record("Q", "", "A", turns=[Turn("system", "own")])) == f"own\n\n{plain}"


def test_one_turn_carries_loss_after_its_prompt(tokenizer: Any) -> None:
    example = Formatter(tokenizer, Format()).example(make_record("Q", "I", "A"))
    assert example.earlier == ()
    assert example.response_positions == list(range(example.prompt_tokens, len(example.input_ids)))


@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}<|im_end|>\n{% endfor %}", "<|im_end|>"),
        ("{% for m in messages %}{{ m['content'] }} <|im_start|>{% endfor %}", "<|im_start|>"),
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", "<|pad|>"),
    ],
)
def test_the_end_of_turn_is_the_templates(tiny_model_folder: Path, template: str, end: str) -> None:
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.eos_token, tokenizer.chat_template = "<|pad|>", template
    formatter = Formatter(tokenizer, Format())
    assert formatter.end_id == tokenizer.convert_tokens_to_ids(end) == formatter.example(RECORD).input_ids[-1]
    assert Formatter(tokenizer, Format(template="plain")).end_id == tokenizer.eos_token_id


def test_a_template_without_system_turns(tiny_model_folder: Path) -> None:
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
        "{{ m['content'] }}<|im_end|>{% endfor %}"
    )
    assert Formatter(tokenizer, Format()).prompt_text(RECORD) == "Q\n\nI<|im_end|>"
    with pytest.raises(GradsError, match=r"refuses a conversation of system, user, assistant \(no system turn\)"):
        Formatter(tokenizer, Format(system="S"))
    with pytest.raises(GradsError, match="refuses a conversation"):
        Formatter(tokenizer, Format()).example(make_record("Q", "", "A", turns=[Turn("system", "S")]))


def test_a_cut_conversation_keeps_its_earlier_answers(tokenizer: Any) -> None:
    formatter = Formatter(tokenizer, Format())
    record = make_record("Q3", "", "three" * 9, turns=TURNS)
    whole = formatter.example(record)
    (cut,) = formatter.tokenize([record], whole.prompt_tokens + 4, "truncate").examples
    assert cut.earlier == whole.earlier
    assert cut.response_positions == whole.response_positions[: cut.response_tokens]
    assert formatter.tokenize([record], whole.prompt_tokens, "truncate").over_length == 1


def test_the_plain_form_begins_with_the_beginning_token_and_has_no_end_inside(tokenizer: Any) -> None:
    adding = copy.deepcopy(tokenizer)
    beginning, end = adding.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    adding.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", beginning), ("<|im_end|>", end)]
    )
    formatter = Formatter(adding, Format(template="plain"))
    example = formatter.example(make_record("Q3", "", "three", turns=TURNS))
    assert example.input_ids[0] == beginning
    assert example.input_ids.count(beginning) == 1
    assert example.input_ids.index(end) == len(example.input_ids) - 1
    assert formatter.prompt_ids(RECORD)[0] == beginning
    assert end not in formatter.prompt_ids(RECORD)
    # A chat template brings its own special tokens.
    assert Formatter(adding, Format()).example(RECORD) == Formatter(tokenizer, Format()).example(RECORD)


def test_other_callers_of_a_tokenizer_get_no_end_token(tokenizer: Any) -> None:
    assert without_end_token(tokenizer) is tokenizer
    adding = copy.deepcopy(tokenizer)
    beginning, end = adding.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    special = [("<|im_start|>", beginning), ("<|im_end|>", end)]
    for form, kept in (("$A <|im_end|>", []), ("<|im_start|> $A <|im_end|>", [beginning])):
        adding.backend_tokenizer.post_processor = TemplateProcessing(single=form, special_tokens=special)
        changed = without_end_token(adding)
        assert changed("text")["input_ids"] == [*kept, *tokenizer("text")["input_ids"]]
        assert adding("text")["input_ids"][-1] == end
