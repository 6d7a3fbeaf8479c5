"""Mean hidden states against the model's own, one example at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from grads.data.formatting import Example
from grads.probe.hidden import mean_hidden_states


@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied", "gemma2-tied"])
def test_means_are_those_of_the_head_inputs(
    name: str, build: Callable[[str], torch.nn.Module], examples: list[Example]
) -> None:
    model = build(name)
    seen: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for example in examples:
            model(input_ids=torch.tensor([example.input_ids]))
    hook.remove()
    expected = np.stack([hidden[0].mean(dim=0).numpy() for hidden in seen])
    for budget in (1, 50, 10_000):
        found = mean_hidden_states(model, examples, budget, padding=0)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_order_of_the_examples_is_kept(llama: torch.nn.Module, examples: list[Example]) -> None:
    forward = mean_hidden_states(llama, examples, 50, 0)
    np.testing.assert_allclose(mean_hidden_states(llama, examples[::-1], 50, 0)[::-1], forward, rtol=1e-4, atol=1e-5)
    assert mean_hidden_states(llama, [], 50, 0).shape == (0, 32)
