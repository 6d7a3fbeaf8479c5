"""Gradients of single examples with respect to the input embedding and the LM head, many examples at a time.

One forward pass and one backward pass of activations a batch, no parameter gradients: the gradient at the output of
the input embedding and the inputs and errors of the LM head carry both matrices' gradients, apart even where the two
share their weights. Examples are padded on the right, which a causal model needs no mask for, and their losses are
summed, so that each example's activation gradients are its own.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grads.data.batches import token_budget_batches
from grads.data.formatting import Example
from grads.models.causal import head_logits, hidden_states, pad_right, unwrap
from grads.probe.adapter import AdapterTaps
from grads.probe.statistics import embedding_statistics, head_mean_abs, head_statistics
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress

STATISTICS = ("l2", "max", "min", "mean", "std")
# Logits held at once, rows x vocabulary: 256 MiB in float32.
MOST_LOGITS = 2**26


def columns(measures: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the statistics that `gradient_statistics` finds."""
    layers = ("embedding", "head", *({"adapter"} & set(measures)))
    names = (*STATISTICS, *({"mean_abs"} & set(measures)))
    return (*(f"{layer}_{name}" for layer in layers for name in names), "response_nll")


COLUMNS = columns()


def gradient_statistics(
    model: nn.Module,
    examples: Sequence[Example],
    token_budget: int,
    padding: int,
    progress: Progress | None = None,
    measures: Collection[str] = (),
    features: np.ndarray | None = None,
) -> list[dict[str, float]]:
    """Return for each example, in order, the statistics of its loss gradient, named by `columns(measures)`.

    The loss is the mean negative log-likelihood of the example's response tokens, in nats (`response_nll`), in float32
    whatever the weights are. For the matrices `embedding` and `head` there are the l2 norm, max, min, mean and
    population standard deviation over all V x d entries of the gradient that autograd would give for that example
    alone, were the two separate. Batches do not change the values beyond rounding. `measures` may ask for `mean_abs`,
    mean |g| too, and `adapter`, the same over all parameters of the LoRA adapter.

    Args:
        model: a causal language model, with or without a PEFT adapter, which stays active as a low-rank path.
        examples: each with at least one response token.
        token_budget: most tokens in one batch, padding included.
        padding: any token id, to fill the batches.
        progress: told how many examples are done.
        measures: see above; other names are not minded.
        features: N x width, to be filled with mean last hidden states.

    Raises:
        GradsError: an example has no response, or the model does more than is known here.
    """
    _check_examples(examples)
    rows: list[dict[str, float]] = [{}] * len(examples)
    taps = AdapterTaps(model) if "adapter" in measures else None
    with frozen(model):
        if examples:
            _check_model(model, examples[0])
        for batch in token_budget_batches([len(example.input_ids) for example in examples], token_budget):
            found, means = _batch_statistics(model, [examples[i] for i in batch], padding, measures, taps)
            for index, row in zip(batch, found, strict=True):
                rows[index] = row
            if features is not None:
                features[batch] = means
            if progress is not None:
                progress.advance(len(batch))
    return rows


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode with no parameter asking for a gradient; restore both at the end."""
    training = {module: module.training for module in model.modules()}
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
        for parameter in asking:
            parameter.requires_grad_(True)


def _batch_statistics(
    model: nn.Module, examples: list[Example], padding: int, measures: Collection[str], taps: AdapterTaps | None
) -> tuple[list[dict[str, float]], np.ndarray]:
    """Return the statistics and the mean last hidden state (examples x width) of each example of a batch."""
    embedding = unwrap(model).get_input_embeddings()
    scale = _embedding_scale(embedding)
    ids = pad_right([example.input_ids for example in examples], padding).to(embedding.weight.device)
    looked_up: list[Tensor] = []

    def start_graph(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        looked_up.append(output.detach().requires_grad_(True))
        return looked_up[-1]

    hook = embedding.register_forward_hook(start_graph)
    with taps.watch(len(examples)) if taps is not None else nullcontext():
        try:
            hidden = hidden_states(model, input_ids=ids, use_cache=False)
        finally:
            hook.remove()
        rows, hidden_gradient = _head_pass(model, hidden.detach(), ids, examples, "mean_abs" in measures)
        (gradient,) = torch.autograd.grad(hidden, looked_up[0], hidden_gradient)
    vocabulary, padding_index = embedding.weight.shape[0], getattr(embedding, "padding_idx", None)
    for index, example in enumerate(examples):
        length = len(example.input_ids)
        own = gradient[index, :length].float() * scale
        statistics = embedding_statistics(ids[index, :length], own, vocabulary, padding_index)
        rows[index] |= {f"embedding_{name}": value for name, value in statistics.items()}
    for row, statistics in zip(rows, taps.statistics() if taps is not None else [], strict=taps is not None):
        row |= {f"adapter_{name}": value for name, value in statistics.items()}
    means = [hidden.detach()[i, : len(example.input_ids)].float().mean(dim=0) for i, example in enumerate(examples)]
    return [{name: row[name] for name in columns(measures)} for row in rows], torch.stack(means).cpu().numpy()


def _head_pass(
    model: nn.Module, hidden: Tensor, ids: Tensor, examples: list[Example], mean_abs: bool
) -> tuple[list[dict[str, float]], Tensor]:
    """Return the head's statistics of each example, and the loss gradient at `hidden` (batch x tokens x width)."""
    gradient = torch.zeros_like(hidden)
    vocabulary = unwrap(model).get_output_embeddings().weight.shape[0]
    rows: list[dict[str, float]] = []
    for group in _groups([len(_predicted(example)) for example in examples], MOST_LOGITS // vocabulary):
        positions = [torch.tensor(_predicted(examples[i]), device=ids.device) for i in group]
        predicting = [position - 1 for position in positions]
        sizes = [len(position) for position in positions]
        inputs = torch.cat([hidden[i, where] for i, where in zip(group, predicting, strict=True)])
        targets = torch.cat([ids[i, where] for i, where in zip(group, positions, strict=True)])
        losses, errors, input_gradient = _head_backward(model, inputs, targets, sizes)
        parts = zip(group, predicting, *(t.split(sizes) for t in (losses, errors, inputs, input_gradient)), strict=True)
        for index, where, loss, error, state, state_gradient in parts:
            gradient[index, where] = state_gradient
            statistics = head_statistics(error, state.float(), rows_sum_to_zero=_soft_cap(model) is None)
            rows.append({f"head_{name}": value for name, value in statistics.items()})
            if mean_abs:
                rows[-1]["head_mean_abs"] = head_mean_abs(error, state.float())
            rows[-1]["response_nll"] = float(loss.mean())
    return rows, gradient


def _head_backward(
    model: nn.Module, inputs: Tensor, targets: Tensor, sizes: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return losses (R), errors at the head's output (R x V, float32) and gradients at its inputs (R x d).

    The R positions belong to examples of the given `sizes`, whose losses are means over their own positions.
    """
    leaf = inputs.detach().requires_grad_(True)
    logits = head_logits(model, leaf)
    with torch.no_grad():
        chosen = torch.arange(len(targets), device=targets.device), targets
        losses = logits.logsumexp(dim=1) - logits[chosen]
        errors = logits.softmax(dim=1)
        errors[chosen] -= 1.0
        shares = [torch.full((size, 1), 1.0 / size, device=errors.device) for size in sizes]
        errors *= torch.cat(shares)
    (input_gradient,) = torch.autograd.grad(logits, leaf, errors)
    cap = _soft_cap(model)
    if cap is not None:
        # logits = cap tanh(z / cap) has the derivative 1 - (logits / cap)^2 with respect to the head's output z.
        errors = errors * (1.0 - (logits.detach() / cap).square())
    return losses, errors, input_gradient


def _groups(sizes: list[int], most: int) -> list[list[int]]:
    """Return consecutive indices in groups of at most `most` positions, or of one example that has more."""
    groups: list[list[int]] = []
    held = 0
    for index, size in enumerate(sizes):
        if groups and held + size <= most:
            groups[-1].append(index)
            held += size
        else:
            groups.append([index])
            held = size
    return groups


def _predicted(example: Example) -> list[int]:
    """Return the positions of the response tokens that have a token before them, from which they are predicted."""
    return [position for position in example.response_positions if position > 0]


def _soft_cap(model: nn.Module) -> float | None:
    return getattr(unwrap(model).config, "final_logit_softcapping", None)


def _embedding_scale(embedding: Any) -> float:
    """Return the factor by which some models (Gemma) multiply what they look up."""
    scale = getattr(embedding, "embed_scale", 1.0)
    return float(scale.to(embedding.weight.dtype)) if isinstance(scale, Tensor) else float(scale)


def _check_examples(examples: Sequence[Example]) -> None:
    for example in examples:
        if not _predicted(example):
            raise GradsError(f"record {example.id} has no response token to learn from: remove it or mend its output")


@torch.no_grad()
def _check_model(model: nn.Module, example: Example) -> None:
    """Compare lookup and logits as they are known here with the model's own, on the start of one example."""
    core = unwrap(model)
    embedding = core.get_input_embeddings()
    ids = torch.tensor([example.input_ids[:16]], device=embedding.weight.device)
    expected = embedding.weight[ids] * _embedding_scale(embedding)
    if not torch.allclose(embedding(ids), expected, rtol=1e-2):
        raise GradsError(
            f"the probe knows input embeddings that look up a row and scale it; that of {type(core).__name__} does "
            "more (an adapter on it?): choose other adapter targets or another model"
        )
    expected = core(input_ids=ids, use_cache=False).logits.float()
    found = head_logits(model, hidden_states(model, input_ids=ids, use_cache=False))
    if not torch.allclose(found, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
        raise GradsError(
            f"the logits of {type(core).__name__} are not its LM head's output, with or without soft-capping: the "
            "probe does not know this architecture, choose another model"
        )
