"""Log-likelihood of responses under a model, in float32 and at response positions only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.data.batches import token_budget_batches
from grads.data.records.formatting import Example
from grads.evaluation.inference import inference
from grads.models.causal import head_logits, hidden_states, pad_right, unwrap
from grads.runtime.progress import Progress

POSITIONS_AT_ONCE = 512
"""Positions whose logits over the vocabulary are held at a time: 100 MB in float32 for 50,000 tokens."""


@dataclass(frozen=True, slots=True)
class ResponseLikelihood:
    """Negative log-likelihood of one response: mean over its tokens in nats, and how many there are."""

    id: str
    nll: float
    tokens: int


def response_likelihoods(
    model: nn.Module, examples: Sequence[Example], token_budget: int, padding: int, progress: Progress
) -> list[ResponseLikelihood]:
    """Return the likelihood of each example's response given its prompt, in the order of `examples`.

    The tokens are those that carry loss in training: the end of turn is one of them, and so are earlier answers where
    a conversation's record says so.

    Args:
        model: a causal language model in evaluation mode, with or without adapters.
        examples: prompt and response as token ids.
        token_budget: most tokens, padding included, in one forward pass.
        padding: token id that fills the right of shorter examples; its value is of no consequence.
        progress: advanced by one for each example.
    """
    sequences = [example.input_ids for example in examples]
    positions = [example.response_positions for example in examples]
    firsts = [wanted[0] for wanted in positions]
    found: dict[int, float] = {}

    def measure(index: int, states: Tensor) -> None:
        wanted = torch.tensor(positions[index], device=states.device)
        targets = torch.tensor(sequences[index], device=states.device)[wanted]
        # Rows of one span are taken as they lie in memory.
        found[index] = mean_nll(model, states[wanted - firsts[index]] if examples[index].earlier else states, targets)
        progress.advance()

    each_predicting_state(model, sequences, firsts, token_budget, padding, measure)
    return [ResponseLikelihood(e.id, found[i], e.response_tokens) for i, e in enumerate(examples)]


def each_predicting_state(
    model: nn.Module,
    sequences: Sequence[list[int]],
    firsts: Sequence[int],
    token_budget: int,
    padding: int,
    visit: Callable[[int, Tensor], None],
) -> None:
    """Call `visit(index, states)` for every sequence, with the states that predict its tokens from `firsts[index]` on.

    `states` is tokens x width: row k stands one position before token `firsts[index] + k`. Sequences are batched under
    the token budget, longest first, and the visits are made under the model's inference settings.
    """
    with inference(model):
        for batch in token_budget_batches([len(s) for s in sequences], token_budget):
            ids = pad_right([sequences[i] for i in batch], padding).to(unwrap(model).device)
            states = hidden_states(model, input_ids=ids, use_cache=False)
            for row, index in enumerate(batch):
                visit(index, states[row, firsts[index] - 1 : len(sequences[index]) - 1])


def mean_nll(model: Any, states: Tensor, targets: Tensor) -> float:
    """Return the mean negative log-probability (nats) of `targets` (tokens), predicted by `states` (tokens x width)."""
    total = 0.0
    for rows, wanted in zip(states.split(POSITIONS_AT_ONCE), targets.split(POSITIONS_AT_ONCE), strict=True):
        total += nn.functional.cross_entropy(head_logits(model, rows), wanted, reduction="sum").item()
    return total / len(targets)
