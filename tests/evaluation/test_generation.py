import copy

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import PretrainedConfig

from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.evaluation import generation
from grads.runtime.errors import GradsError


def greedy(model, ids, limit, *ends):
    """The plainest greedy decoding: no batch, no cache, no padding."""
    new = []
    with torch.no_grad():
        while len(new) < limit:
            new.append(model(torch.tensor([ids + new])).logits[0, -1].argmax().item())
            if new[-1] in ends:
                break
    return new


class EndsAt(Formatter):
    """A formatter whose answers end with a token of choice."""

    end_id = None

    def __init__(self, tokenizer, end):
        super().__init__(tokenizer, Format())
        self.end_id = end


@pytest.fixture
def often(model, formatter, records):
    """A token that a greedy answer holds, not at its start."""
    answers = [greedy(model, formatter.prompt_ids(r), 12, formatter.end_id) for r in records]
    return next(t for answer in answers for t in answer[1:] if t != answer[0])


@pytest.mark.parametrize("budget", [1, 150, 10_000])
def test_any_batch_gives_plain_greedy_decoding(model, tokenizer, records, counter, often, budget, answered):
    formatter, ends = EndsAt(tokenizer, often), {often, tokenizer.eos_token_id}
    rows = answered(model, formatter, records, 12, budget, counter)
    expected = [greedy(model, formatter.prompt_ids(r), 12, *ends) for r in records]
    kept = [e[:-1] if e[-1] in ends else e for e in expected]
    assert [row["prediction"] for row in rows] == [tokenizer.decode(k, skip_special_tokens=True).strip() for k in kept]
    assert [row["new_tokens"] for row in rows] == list(map(len, kept))
    assert [row["capped"] for row in rows] == [e[-1] not in ends for e in expected]
    assert {row["capped"] for row in rows} == {True, False}
    assert counter.done == len(records)


def test_the_tokenizers_own_end_ends_an_answer_too(model, tokenizer, records, counter, often, answered):
    """A model that was not tuned to the template ends with the end of sequence, which need not be the end of turn."""
    answers = [greedy(model, Formatter(tokenizer, Format()).prompt_ids(r), 12, often) for r in records]
    turn = next(t for answer in answers for t in answer[:-1] if t not in {often, answer[0]})
    other = copy.copy(tokenizer)
    other.eos_token = tokenizer.convert_ids_to_tokens(often)
    formatter = EndsAt(other, turn)
    rows = answered(model, formatter, records, 12, 150, counter)
    expected = [greedy(model, formatter.prompt_ids(r), 12, often, turn) for r in records]
    assert {answer[-1] for answer in expected} >= {often, turn}
    assert [row["capped"] for row in rows] == [answer[-1] not in {often, turn} for answer in expected]
    assert [row["new_tokens"] for row in rows] == [len(e) - (e[-1] in {often, turn}) for e in expected]


@pytest.mark.parametrize("listed", [True, False])
def test_the_stop_tokens_that_come_with_a_model_end_answers(
    model, tokenizer, records, counter, often, listed, answered
):
    """As GLM's does: its template has no end of turn, and its generation config stops at the next user's turn."""
    formatter = Formatter(tokenizer, Format())
    model.generation_config.eos_token_id = [formatter.end_id, often] if listed else often
    stops = {often, formatter.end_id}
    rows = answered(model, formatter, records, 12, 10_000, counter)
    expected = [greedy(model, formatter.prompt_ids(r), 12, *stops) for r in records]
    assert often in {answer[-1] for answer in expected}
    assert [row["new_tokens"] for row in rows] == [len(e) - (e[-1] in stops) for e in expected]
    assert [row["capped"] for row in rows] == [answer[-1] not in stops for answer in expected]


def test_rows_carry_the_record_and_its_templated_prompt(model, formatter, records, counter, answered):
    rows = answered(model, formatter, records, 2, 1000, counter)
    assert [row["id"] for row in rows] == [r.id for r in records]
    assert [row["reference"] for row in rows] == [r.output for r in records]
    assert [formatter.tokenizer(row["prompt"], add_special_tokens=False)["input_ids"] for row in rows] == [
        formatter.example(r).input_ids[: formatter.example(r).prompt_tokens] for r in records
    ]


def test_stored_sampling_settings_change_nothing(model, formatter, records, counter, answered):
    before = answered(model, formatter, records, 8, 1000, counter)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=9.0)
    assert answered(model, formatter, records, 8, 1000, counter) == before


def test_an_adapter_is_heard(model, make_adapter, formatter, records, counter, answered):
    before = answered(model, formatter, records, 8, 1000, counter)
    tuned = PeftModel.from_pretrained(model, make_adapter(0.5)).eval()
    rows = answered(tuned, formatter, records, 8, 1000, counter)
    assert rows != before
    expected = [greedy(tuned, formatter.prompt_ids(r), 8, formatter.end_id) for r in records]
    kept = [[t for t in e if t != formatter.end_id] for e in expected]
    assert [r["prediction"] for r in rows] == [
        formatter.tokenizer.decode(k, skip_special_tokens=True).strip() for k in kept
    ]


def test_more_tokens_than_the_model_has_positions_for(model, formatter, records, counter, answered):
    model.config.max_position_embeddings = longest = max(len(formatter.prompt_ids(r)) for r in records)
    with pytest.raises(GradsError, match=f"longest prompt has {longest} tokens and generation.max_new_tokens is 1"):
        answered(model, formatter, records, 1, 1000, counter)


def test_prompt_and_answer_may_fill_the_model_to_its_last_position(model, formatter, records, counter, answered):
    longest = max(len(formatter.prompt_ids(r)) for r in records)
    model.config.max_position_embeddings = longest + 3
    assert len(answered(model, formatter, records, 3, 1000, counter)) == len(records)
    with pytest.raises(GradsError, match=rf"max_new_tokens is 4, but the model has room for {longest + 3}: lower"):
        answered(model, formatter, records, 4, 1000, counter)


def test_a_model_that_names_no_positions_is_not_refused():
    model = nn.Identity()
    model.config = PretrainedConfig()
    generation._check_room(model, 10**9, 10)
    model.config = PretrainedConfig(max_position_embeddings=12)
    with pytest.raises(GradsError, match="the model has room for 12"):
        generation._check_room(model, 10, 3)


@pytest.mark.parametrize(
    ("answer", "kept", "capped"),
    [([40, 41, "end", 42, "end"], [40, 41], False), ([40, 41], [40, 41], True), (["end", 40], [], False)],
)
def test_an_answer_ends_at_its_first_end(formatter, records, answer, kept, capped):
    ids = [formatter.end_id if token == "end" else token for token in answer]
    row = generation._row(formatter, records[0], ids, [formatter.end_id])
    assert row["prediction"] == formatter.tokenizer.decode(kept).strip()
    assert (row["new_tokens"], row["capped"]) == (len(kept), capped)


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]])
def test_answers_follow_their_records_in_any_order(model, formatter, records, counter, order, answered):
    before = answered(model, formatter, records, 6, 200, counter)
    after = answered(model, formatter, [records[i] for i in order], 6, 200, counter)
    assert after == [before[i] for i in order]


def test_a_longer_answer_begins_like_a_shorter_one(model, formatter, records, counter, answered):
    short, long = (answered(model, formatter, records, limit, 1000, counter) for limit in (3, 9))
    for one, other in zip(short, long, strict=True):
        assert other["prediction"].startswith(one["prediction"][:1])
        assert one["new_tokens"] <= min(3, other["new_tokens"])
        assert one["capped"] or one == other
