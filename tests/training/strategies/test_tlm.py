"""Test-time learning: the weights by hand, what it may see, and a run."""

import json
import math
from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch

from grads.data.records.formatting import Example
from grads.data.records.prompts import QuestionPrompt
from grads.data.records.record import load_records, make_record, write_records
from grads.runtime.errors import GradsError
from grads.study.controls import AT_TEST_TIME, TEST_PROMPTS
from grads.training.strategies.contract import Batch, Inputs, Needs
from grads.training.strategies.registry import strategies
from grads.training.strategies.tlm import STRATEGY, Tlm, weights

from ..conftest import cell, same, train


def batch(logits):
    """Return three predictions of a record and one of another, whose labels are all token 0."""
    records = torch.tensor([0, 0, 0, 2])
    return Batch(torch.zeros(3, 9), records, torch.arange(4), torch.zeros(4, dtype=torch.long), torch.ones(4), logits)


def test_weights_by_hand():
    # Means 3.5 and 3.0, which is not above the threshold.
    found = weights(torch.tensor([3.0, 3.5, 4.0, 3.0]), torch.tensor([0, 0, 0, 2]), Tlm())
    assert found.tolist() == pytest.approx([0.1 * math.exp(0.5)] * 3 + [0.0])


def test_offline_it_is_the_untuned_model_that_judges_and_online_the_trained_one():
    random = torch.Generator().manual_seed(0)
    tuned, base = (torch.randn(4, 5, generator=random) for _ in range(2))
    nll = {name: -logits.log_softmax(-1)[:, 0] for name, logits in (("tuned", tuned), ("base", base))}
    for mode, judge in (("offline", "base"), ("online", "tuned")):
        parameters = Tlm(mode=mode, threshold=0.5)
        found = STRATEGY.loss(batch(tuned), SimpleNamespace(logits=lambda _: base), parameters)
        means = torch.stack([nll[judge][:3].mean()] * 3 + [nll[judge][3]])
        expected = (means > 0.5) * 0.1 * (means - 0.5).exp() * nll["tuned"]
        torch.testing.assert_close(found, expected)
        assert STRATEGY.needs(parameters) == Needs(test_prompts=True, base_logits=mode == "offline")


def test_weights_are_constants_to_the_gradient():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    STRATEGY.loss(batch(logits), SimpleNamespace(), Tlm(mode="online", threshold=0.0)).sum().backward()
    with torch.no_grad():
        judged = -logits.log_softmax(-1)[:, 0]
        weight = weights(judged, torch.tensor([0, 0, 0, 2]), Tlm(threshold=0.0)).unsqueeze(1)
        expected = weight * (logits.softmax(-1) - torch.nn.functional.one_hot(torch.zeros(4, dtype=torch.long), 5))
    torch.testing.assert_close(logits.grad, expected)


def test_prompts_take_the_place_of_the_records(examples):
    prompts = [QuestionPrompt("t0", (5, 6, 7)), QuestionPrompt("t1", (5,))]
    found = STRATEGY.prepare(examples(3), Inputs(test_prompts=prompts), Tlm())
    # A prompt of one token has nothing to predict.
    assert found.examples == {"t0": Example("t0", [5, 6, 7], 1)}
    assert found.examples["t0"].response_positions == [1, 2]
    assert found.notes == {TEST_PROMPTS: 1, "records_put_aside": 3}


def test_it_alone_may_read_of_the_test_set_and_no_answers():
    reading = {name for name, strategy in strategies().items() if strategy.needs(strategy.parameters()).test_prompts}
    assert reading == set(AT_TEST_TIME)
    assert {part.name for part in fields(QuestionPrompt)} == {"id", "input_ids"}


@pytest.fixture
def test_file(tmp_path):
    def write(name, answer):
        write_records(tmp_path / name, [make_record(f"What is {i}?", "", answer) for i in range(9)])
        return tmp_path / name

    return write


def test_a_run_learns_from_the_prompts_and_no_answer_can_change_it(tmp_path, records, tiny_model_folder, test_file):
    # A tiny random model finds nothing likely.
    runs = [
        cell(tmp_path, records, name, strategy="tlm", test=test_file(f"{name}.parquet", answer), epochs=1)
        for name, answer in (("one", "yes"), ("other", "something else altogether"))
    ]
    train(tiny_model_folder, *runs)
    assert same(*runs)
    summary = json.loads(runs[0].summary.read_text())
    assert summary["records"] == summary["notes"][TEST_PROMPTS] == 9
    assert summary["notes"]["records_put_aside"] == len(load_records(records))


def test_without_a_test_set_it_is_refused(tmp_path, records, tiny_model_folder):
    with pytest.raises(GradsError, match="strategy 'tlm' reads the prompts of a test set and none is given"):
        train(tiny_model_folder, cell(tmp_path, records, strategy="tlm"))
