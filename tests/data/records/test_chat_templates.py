"""Prompts are what the template renders: as text and as token ids, for the families that people fine-tune."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from grads.config.models import Format
from grads.data.records.chat_templates import conversation
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, Turn, make_record
from grads.runtime.errors import GradsError
from tests.data.template_families import FAMILIES, Family, family_tokenizer

ROOT = Path(__file__).parents[3]
EARLIER = [Turn("user", "Name a river in France."), Turn("assistant", "The Loire", loss=True)]
SYSTEM = [Turn("system", "Answer in one sentence.")]
QUESTION = "What is the notice period?"
ANSWER = "Three months, in writing."
# Conversations before the question, and the config's system prompt.
CASES = {
    "one turn": ([], None),
    "several turns": (EARLIER, None),
    "own system turn": (SYSTEM, None),
    "several turns, own system turn": ([*SYSTEM, *EARLIER], None),
    "the config's system prompt": ([], "Be brief!"),
    "an empty system prompt": ([], ""),
}


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(family: Family) -> Any:
    return family_tokenizer(family)


def said(record: Record, form: Format, parts: bool) -> list[dict[str, Any]]:
    """Return the messages that a user of the template would hand over."""
    turns = conversation(record)
    if form.system is not None and turns[0].role != "system":
        turns = [Turn("system", form.system), *turns]
    return [{"role": t.role, "content": [{"type": "text", "text": t.content}] if parts else t.content} for t in turns]


def cut(tokenizer: Any, ids: Sequence[int], end: int) -> list[int]:
    """Return what a template gave, without what it puts after the last end of turn."""
    special = [place for place, token in enumerate(ids) if token == end]
    return list(ids[: special[-1] + 1])


@pytest.mark.parametrize("case", CASES)
def test_prompt_and_answer_are_the_templates_rendering(family: Family, tokenizer: Any, case: str) -> None:
    turns, system = CASES[case]
    form = Format(system=system, template_arguments=family.arguments)
    formatter = Formatter(tokenizer, form)
    record = make_record(QUESTION, "", ANSWER, turns=turns)
    messages = said(record, form, family.name == "content parts")
    text = tokenizer.apply_chat_template(messages, tokenize=False, **family.arguments)
    whole = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **family.arguments)
    example = formatter.example(record)
    assert text.startswith(formatter.prompt_text(record) + ANSWER)
    if family.name == "GLM-like":  # Its template writes no end.
        assert example.input_ids == [*whole, formatter.end_id]
    else:
        assert example.input_ids == cut(tokenizer, whole, formatter.end_id)
    assert example.input_ids[-1] == formatter.end_id
    # Generation begins with the same ids.
    assert example.input_ids[: example.prompt_tokens] == formatter.prompt_ids(record)
    response = tokenizer.decode(example.input_ids[example.prompt_tokens : -1])
    assert response.strip() == ANSWER
    earlier = [tokenizer.decode(example.input_ids[start:stop]) for start, stop in example.earlier]
    assert all(span.strip().startswith("The Loire") for span in earlier)
    assert len(earlier) == sum(turn.loss for turn in turns)


def test_the_prompt_does_not_depend_on_the_answer(tokenizer: Any, family: Family) -> None:
    formatter = Formatter(tokenizer, Format(template_arguments=family.arguments))
    answers = [ANSWER, "9", "x", "(a)", "é", "- one\n- two", f"Say {family.special[0]} twice."]
    prompts = {tuple(formatter.prompt_ids(make_record(QUESTION, "", answer))) for answer in answers}
    assert len(prompts) == 1
    for answer in answers:
        example = formatter.example(make_record(QUESTION, "", answer))
        assert tuple(example.input_ids[: example.prompt_tokens]) in prompts


def test_an_answer_that_spells_out_a_special_token_does_not_end_there(tokenizer: Any, family: Family) -> None:
    formatter = Formatter(tokenizer, Format(template_arguments=family.arguments))
    answer = f"The end is {family.end_of_sequence} here"
    example = formatter.example(make_record(QUESTION, "", answer))
    response = example.input_ids[example.prompt_tokens :]
    assert response.index(formatter.end_id) == len(response) - 1
    assert tokenizer.decode(response[:-1]).strip() == answer


def test_white_space_is_as_the_template_leaves_it(tokenizer: Any, family: Family) -> None:
    record = make_record(QUESTION, "", f"  {ANSWER}\n")
    form = Format(template_arguments=family.arguments)
    text = tokenizer.apply_chat_template(
        said(record, form, family.name == "content parts"), tokenize=False, **family.arguments
    )
    formatter = Formatter(tokenizer, form)
    prompt = formatter.prompt_text(record)
    trimmed = f"  {ANSWER}\n" not in text
    assert text.startswith(prompt)
    assert text[len(prompt) :].startswith(ANSWER if trimmed else f"  {ANSWER}\n")


def test_chat_benchmarks_get_the_same_prompt(tokenizer: Any, family: Family) -> None:
    formatter = Formatter(tokenizer, Format(template_arguments=family.arguments))
    record = make_record(QUESTION, "", ANSWER, turns=EARLIER)
    messages = [{"role": turn.role, "content": turn.content} for turn in conversation(record)[:-1]]
    assert formatter.chat_prompt(messages) == formatter.prompt_text(record)


SIMPLE = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize(
    ("template", "record", "named"),
    [
        ("{{ messages[-1].content }}<|im_end|>", make_record("Q", "", "A"), "loses the question"),
        ("{{ messages[0].content }}<|im_end|>", make_record("Q", "", "A"), "loses the answer"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", make_record("Q", "", "A"), "2 times"),
        (SIMPLE.replace("m.content", "m.content.split('</think>')[-1]"), make_record("Q", "", "x</think>A"), "answer"),
        (SIMPLE.replace("m.content", "m.content.lower()"), make_record("Question", "", "a"), "question"),
        (SIMPLE.replace("m.content", "m.content[:12]"), make_record("What is it, in full?", "", "A"), "question"),
        (SIMPLE.replace("m.content", "m.content | tojson"), make_record('Say "so"', "", "A"), "question"),
    ],
)
def test_what_a_template_loses_or_alters_is_named(template: str, record: Record, named: str) -> None:
    tokenizer = family_tokenizer(FAMILIES[-1])
    tokenizer.chat_template = template
    with pytest.raises(GradsError, match=named):
        Formatter(tokenizer, Format()).example(record)


def test_a_system_prompt_that_a_template_leaves_out_is_named() -> None:
    tokenizer = family_tokenizer(FAMILIES[-1])
    tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}{{ m.content }}<|im_end|>{% endfor %}"
    assert Formatter(tokenizer, Format()).prompt_text(make_record("Q", "", "A")) == "Q<|im_end|>"
    with pytest.raises(GradsError, match="loses the system prompt"):
        Formatter(tokenizer, Format(system="S")).example(make_record("Q", "", "A"))
    with pytest.raises(GradsError, match="loses the developer message"):
        tokenizer.chat_template = tokenizer.chat_template.replace("'system'", "'developer'")
        Formatter(tokenizer, Format()).example(make_record("Q", "", "A", turns=[Turn("developer", "D")]))


def test_a_developer_turn_is_rendered_as_one() -> None:
    family = next(family for family in FAMILIES if family.name == "harmony-like")
    formatter = Formatter(family_tokenizer(family), Format(system="not used", template_arguments=family.arguments))
    prompt = formatter.prompt_text(make_record("Q", "", "A", turns=[Turn("developer", "Rhyme.")]))
    assert "<|start|>developer<|message|># Instructions\n\nRhyme.<|end|>" in prompt
    assert "not used" not in prompt


def test_template_arguments_reach_the_template() -> None:
    family = next(family for family in FAMILIES if family.name == "harmony-like")
    prompts = {}
    for effort in ("low", "high"):
        formatter = Formatter(family_tokenizer(family), Format(template_arguments={"reasoning_effort": effort}))
        prompts[effort] = formatter.prompt_text(make_record("Q", "", "A"))
    assert "Reasoning: low" in prompts["low"]
    assert "Reasoning: high" in prompts["high"]


def test_one_of_several_templates_is_chosen_by_name() -> None:
    tokenizer = family_tokenizer(FAMILIES[-1])
    tokenizer.chat_template = {"tool_use": SIMPLE, "rag": "RAG " + SIMPLE}
    with pytest.raises(GradsError, match=r"rag, tool_use.*template_arguments"):
        Formatter(tokenizer, Format())
    formatter = Formatter(tokenizer, Format(template_arguments={"chat_template": "rag"}))
    assert formatter.prompt_text(make_record("Q", "", "A")) == "RAG user: Q<|im_end|>assistant: "


@pytest.mark.parametrize("name", ["tokenize", "add_generation_prompt", "return_tensors"])
def test_arguments_that_are_not_the_templates_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Format(template_arguments={name: True})


def test_a_template_that_cannot_be_read_is_called_so() -> None:
    tokenizer = family_tokenizer(FAMILIES[-1])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}"
    with pytest.raises(GradsError, match=r"cannot be read.*tokenizer"):
        Formatter(tokenizer, Format())


TABLE = "| family | before the question | between question and answer | after the answer |"


def family_table() -> str:
    """Return the table of docs/data.md: what each family's template writes around one question and its answer."""
    lines = [TABLE, "| :-- | :-- | :-- | :-- |"]
    for family in FAMILIES:
        formatter = Formatter(family_tokenizer(family), Format(template_arguments=family.arguments))
        rendering = formatter.template.render([Turn("user", QUESTION), Turn("assistant", ANSWER)], "the table")
        before, _, between = rendering.prompt.partition(QUESTION)
        arguments = f" {family.arguments}" if family.arguments else ""
        end = rendering.answers[-1].closing or formatter.tokenizer.eos_token + " (added)"
        cells = [family.name + arguments, *map(code, (before, between, end))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    return f"`{text}`".replace("\n", "\\n").replace("|", "\\|").replace(" (added)`", "` (added)")


def test_the_table_of_families_in_the_documentation_is_this_one() -> None:
    assert family_table() in (ROOT / "docs/data.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    page = ROOT / "docs/data.md"
    head, _, tail = page.read_text(encoding="utf-8").partition(TABLE)
    rest = tail.partition("\n\n")[2]
    page.write_text(f"{head}{family_table()}\n{rest}", encoding="utf-8")
