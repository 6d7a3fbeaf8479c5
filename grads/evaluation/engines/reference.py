"""The plain path, which the fast one is held to: whole sequences, padded batches, PEFT's modules, lm-eval's batches.

It is for tests, for benchmarks, and for models that the fast one cannot run.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from grads.data.batches import token_budget_batches
from grads.evaluation.engines.contract import Advance, Visit
from grads.evaluation.inference import inference
from grads.models.causal import head_logits, hidden_states, pad_right, unwrap

# Fills up the shorter rows of a batch; its value is of no consequence.
PADDING = 0


class Reference:
    """See the module, and `Engine`.

    Args:
        model: a causal language model in evaluation mode, with or without adapters.
        token_budget: most tokens in a batch, padding and answers included: the key-value cache holds them all.
        task_batch: lm-eval's batch size. Fixed: rounding in bf16 depends on it, and other batches were seen to move a
            choice's log-probability by some 0.3 nats, and by 1.2 at most.
        reason: why it runs where another engine was to.
    """

    def __init__(self, model: nn.Module, token_budget: int, task_batch: int = 16, reason: str | None = None) -> None:
        self.model = model
        self.token_budget = token_budget
        self.task_batch = task_batch
        self.reason = reason

    def record(self) -> dict[str, Any]:
        """See `Engine`."""
        return {"name": "reference"} | ({"reason": self.reason} if self.reason else {})

    def states(self, sequences: Sequence[list[int]], firsts: Sequence[int], visit: Visit) -> None:
        """See `Engine`; sequences are batched longest first."""
        with inference(self.model):
            for batch in token_budget_batches([len(sequence) for sequence in sequences], self.token_budget):
                ids = pad_right([sequences[index] for index in batch], PADDING).to(unwrap(self.model).device)
                states = hidden_states(self.model, input_ids=ids, use_cache=False)
                for row, index in enumerate(batch):
                    visit(index, states[row, firsts[index] - 1 : len(sequences[index]) - 1])

    def answers(
        self, prompts: Sequence[list[int]], limit: int, ends: Sequence[int], advance: Advance
    ) -> list[list[int]]:
        """See `Engine`.

        Prompts of one batch are padded on the left and masked: in float32 the answers are those of one prompt at a
        time.
        """
        answers: dict[int, list[int]] = {}
        with inference(self.model):
            for batch in token_budget_batches([len(prompt) + limit for prompt in prompts], self.token_budget):
                found = _complete(self.model, [prompts[index] for index in batch], limit, ends)
                answers |= zip(batch, found, strict=True)
                for _ in batch:
                    advance()
        return [answers[index] for index in range(len(prompts))]


def _complete(model: nn.Module, prompts: list[list[int]], limit: int, ends: Sequence[int]) -> list[list[int]]:
    """Return the new ids of each prompt; what follows one of the end tokens is padding.

    A loop of its own, because transformers' `generate` mixes in the sampling and penalties that a model's makers stored
    with it, and because its LM head on a slice of a batch copies the head's weights for every row of it.
    """
    core = unwrap(model)
    end = ends[0]
    longest = max(map(len, prompts))
    ids = torch.tensor([[end] * (longest - len(p)) + p for p in prompts], device=core.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=core.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=core.config)
    steps: list[Tensor] = []
    stops = torch.tensor(ends, device=core.device)
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=core.device)
    while len(steps) < limit and not finished.all():
        states = hidden_states(
            model, input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        chosen = head_logits(model, states[:, -1]).argmax(-1).masked_fill(finished, end)
        steps.append(chosen)
        finished |= torch.isin(chosen, stops)
        ids = chosen.unsqueeze(1)
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
    return torch.stack(steps, dim=1).tolist()
