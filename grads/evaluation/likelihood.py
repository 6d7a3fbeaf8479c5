"""Log-likelihood of responses under a model, in float32 and at response positions only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.data.records.formatting import Example
from grads.evaluation.engines.contract import Engine
from grads.models.causal import head_logits
from grads.runtime.progress import Progress

POSITIONS_AT_ONCE = 512
"""Positions whose logits over the vocabulary are held at a time: 100 MB in float32 for 50,000 tokens."""


@dataclass(frozen=True, slots=True)
class ResponseLikelihood:
    """Negative log-likelihood of one response: mean over its tokens in nats, and how many there are."""

    id: str
    nll: float
    tokens: int


def response_likelihoods(engine: Engine, examples: Sequence[Example], progress: Progress) -> list[ResponseLikelihood]:
    """Return the likelihood of each example's response given its prompt, in the order of `examples`.

    The tokens are those that carry loss in training: the end of turn is one of them, and so are earlier answers where
    a conversation's record says so.

    Args:
        engine: runs the model.
        examples: prompt and response as token ids.
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
        rows = states[wanted - firsts[index]] if examples[index].earlier else states
        found[index] = mean_nll(engine.model, rows, targets)
        progress.advance()

    engine.states(sequences, firsts, measure)
    return [ResponseLikelihood(e.id, found[i], e.response_tokens) for i, e in enumerate(examples)]


def mean_nll(model: Any, states: Tensor, targets: Tensor) -> float:
    """Return the mean negative log-probability (nats) of `targets` (tokens), predicted by `states` (tokens x width)."""
    total = 0.0
    for rows, wanted in zip(states.split(POSITIONS_AT_ONCE), targets.split(POSITIONS_AT_ONCE), strict=True):
        total += nn.functional.cross_entropy(head_logits(model, rows), wanted, reduction="sum").item()
    return total / len(targets)
