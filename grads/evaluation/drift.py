"""How far a tuned model has moved on general text: its NLL there, and KL(untuned || tuned)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grads.data.records.formatting import beginning_ids
from grads.data.records.formatting import text_ids as running_text_ids
from grads.evaluation.engines.contract import Engine
from grads.evaluation.likelihood import POSITIONS_AT_ONCE
from grads.models.causal import head_logits, unwrap
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress


@dataclass(frozen=True, slots=True)
class Drift:
    """One text: `nll` is the mean negative log-likelihood of its tokens after the first, `kl` the mean over the same
    positions of KL(untuned || tuned) of the next-token distributions; both in nats."""

    nll: float
    kl: float


@dataclass(frozen=True)
class Untuned:
    """The untuned model's side of the comparison, computed once for any number of tuned models.

    Kept are its hidden states and not its distributions, which are a hundred times as large: the LM head is cheap to
    apply again. `head` is the untuned output layer itself, which later adapters wrap and do not change.
    """

    states: list[Tensor]
    head: nn.Module
    config: Any

    def get_output_embeddings(self) -> nn.Module:
        """Return the untuned LM head, by the name that `head_logits` asks for."""
        return self.head


def text_ids(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Return the first `max_tokens` token ids of each text: the tokenizer's beginning token first, no chat template.

    Raises:
        GradsError: a text has fewer than two tokens, so that nothing in it is predicted.
    """
    ids = [running_text_ids(tokenizer, text)[:max_tokens] for text in texts]
    for number, sequence in enumerate(ids, start=1):
        if len(sequence) < 2:
            raise GradsError(f"general text {number} has {len(sequence)} token(s): drift needs texts of at least two")
    return ids


def predicted_bytes(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[int]:
    """Return for each text how many of its bytes, in UTF-8, the tokens after the first of `text_ids` stand for.

    With a tokenizer that puts a beginning token in front these are all bytes of a text that is not cut, as lm-eval
    counts them; without, all but those of its first token, which nothing predicts. A character in whose middle a text
    is cut counts whole.

    Raises:
        GradsError: the tokenizer does not say where its tokens stand in a text.
    """
    if not tokenizer.is_fast:
        raise GradsError(
            f"the tokenizer ({type(tokenizer).__name__}) does not say where its tokens stand in a text, which bits per "
            "byte are counted by: save_pretrained a fast one (tokenizer.json)"
        )
    beginning = len(beginning_ids(tokenizer))
    sizes = []
    for text in texts:
        spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        kept = max_tokens - beginning
        start = 0 if beginning else spans[0][1]
        stop = len(text) if len(spans) <= kept else max((end for _, end in spans[:kept]), default=0)
        sizes.append(len(text[start:stop].encode()))
    return sizes


def untuned_states(engine: Engine, texts: Sequence[list[int]], progress: Progress) -> Untuned:
    """Run the untuned model over the texts. It must carry no adapter; see `measure_drift` for the arguments."""
    states: dict[int, Tensor] = {}

    def keep(index: int, found: Tensor) -> None:
        states[index] = found.clone()
        progress.advance()

    engine.states(texts, [1] * len(texts), keep)
    core = unwrap(engine.model)
    return Untuned([states[i] for i in range(len(texts))], core.get_output_embeddings(), core.config)


def measure_drift(
    engine: Engine,
    texts: Sequence[list[int]],
    untuned: Untuned,
    progress: Progress,
) -> list[Drift]:
    """Return each text's NLL under the tuned model and its KL from the untuned model, log-probabilities in float32.

    Args:
        engine: runs the tuned model: an adapter on the untuned one, or weights of its own.
        texts: token ids of each text, at least two.
        untuned: what `untuned_states` returned for the same texts.
        progress: advanced by one for each text.
    """
    found: dict[int, Drift] = {}

    def measure(index: int, states: Tensor) -> None:
        targets = torch.tensor(texts[index][1:], device=states.device)
        found[index] = compare(untuned, untuned.states[index], engine.model, states, targets)
        progress.advance()

    engine.states(texts, [1] * len(texts), measure)
    return [found[i] for i in range(len(texts))]


def compare(reference: Any, reference_states: Tensor, model: Any, states: Tensor, targets: Tensor) -> Drift:
    """Return the drift of one text from both models' hidden states (positions x width) and its tokens (positions)."""
    nll = kl = 0.0
    parts = (tensor.split(POSITIONS_AT_ONCE) for tensor in (reference_states, states, targets))
    for reference_rows, rows, wanted in zip(*parts, strict=True):
        expected = head_logits(reference, reference_rows)
        found = head_logits(model, rows)
        expected -= expected.logsumexp(-1, keepdim=True)
        found -= found.logsumexp(-1, keepdim=True)
        nll -= found.gather(1, wanted.unsqueeze(1)).sum().item()
        # KL is never below 0; in float32 the sum of nearly equal distributions' terms may be, by some 1e-8.
        difference = (expected - found).mul_(expected.exp_())
        kl += difference.sum(-1).clamp(min=0).sum().item()
    return Drift(nll / len(targets), kl / len(targets))
