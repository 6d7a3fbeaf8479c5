"""What our model adds to lm-eval's: scores of continuations, and answers without their makers' sampling."""

import pytest
import torch
from transformers import GenerationConfig

from grads.evaluation.lm_eval_model import _plain_generation, score


def test_a_continuation_is_scored_by_its_own_tokens():
    rows = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    total, greedy = score(rows, [1, 2])
    assert total == pytest.approx(torch.tensor(0.3 * 0.8).log().item())
    assert not greedy
    assert score(rows, [0, 2])[1]


def test_a_makers_penalty_is_left_out_and_given_back(model):
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = model.generate(ids, max_new_tokens=12, do_sample=False)
    stored = GenerationConfig(repetition_penalty=5.0, eos_token_id=model.generation_config.eos_token_id)
    model.generation_config = stored
    assert not torch.equal(model.generate(ids, max_new_tokens=12, do_sample=False), plain)
    with _plain_generation(model):
        assert torch.equal(model.generate(ids, max_new_tokens=12, do_sample=False), plain)
    assert model.generation_config is stored
