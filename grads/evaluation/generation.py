"""Greedy generation of the domain answers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from grads.data.batches import token_budget_batches
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record
from grads.evaluation.inference import inference
from grads.models.causal import context_length, head_logits, hidden_states, unwrap
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress


def generate(
    model: nn.Module,
    formatter: Formatter,
    records: Sequence[Record],
    max_new_tokens: int,
    token_budget: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Answer each record's prompt greedily, until an end token or `max_new_tokens`.

    End tokens are the template's end of turn, the tokenizer's own end of sequence, with which a model ends that was not
    tuned to the template, and those of the generation config that comes with the model.

    Prompts of one batch are padded on the left and masked: in float32 the answers are those of one prompt at a time.

    Args:
        model: a causal language model in evaluation mode, with or without adapters.
        formatter: gives the prompts' token ids (training's own) and the end tokens.
        records: what to answer; their `output` is the reference.
        max_new_tokens: most tokens of an answer.
        token_budget: most tokens of prompts and answers together in one batch: the key-value cache holds them all.
        progress: advanced by one for each record.

    Returns:
        For each record, in order: `id`, `prompt` (with its template), `reference`, `prediction` (end token and outer
        white space removed), `new_tokens` (without the end token), `capped` (no end token came), and `references` where
        the record has further right answers.

    Raises:
        GradsError: a prompt and its answer may be longer than the model's positions.
    """
    prompts = [formatter.prompt_ids(record) for record in records]
    ends = end_ids(model, formatter)
    _check_room(model, max(map(len, prompts)), max_new_tokens)
    answers: dict[int, list[int]] = {}
    with inference(model):
        for batch in token_budget_batches([len(p) + max_new_tokens for p in prompts], token_budget):
            found = _complete(model, [prompts[i] for i in batch], max_new_tokens, ends)
            answers |= zip(batch, found, strict=True)
            progress.advance(len(batch))
    return [_row(formatter, record, answers[i], ends) for i, record in enumerate(records)]


def end_ids(model: nn.Module, formatter: Formatter) -> list[int]:
    """Return the ids that end an answer, the template's end of turn first."""
    shipped = getattr(unwrap(model).generation_config, "eos_token_id", None)
    stops = shipped if isinstance(shipped, list) else [shipped]
    known = [formatter.end_id, formatter.tokenizer.eos_token_id, *stops]
    return list(dict.fromkeys(end for end in known if end is not None))


def _check_room(model: nn.Module, longest: int, max_new_tokens: int) -> None:
    room = context_length(unwrap(model).config)
    if room is not None and longest + max_new_tokens > room:
        raise GradsError(
            f"the longest prompt has {longest} tokens and generation.max_new_tokens is {max_new_tokens}, but the model"
            f" has room for {room}: lower max_new_tokens, or training.max_length to leave long prompts out"
        )


def _complete(model: nn.Module, prompts: list[list[int]], max_new_tokens: int, ends: list[int]) -> list[list[int]]:
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
    while len(steps) < max_new_tokens and not finished.all():
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


def _row(formatter: Formatter, record: Record, answer: list[int], ends: list[int]) -> dict[str, Any]:
    length = next((place for place, token in enumerate(answer) if token in ends), len(answer))
    given: dict[str, Any] = {"references": list(record.references)} if record.references else {}
    if record.own_id:
        given["own_id"] = record.own_id
    return {
        "id": record.id,
        "prompt": formatter.prompt_text(record),
        "reference": record.output,
        "prediction": formatter.tokenizer.decode(answer[:length], skip_special_tokens=True).strip(),
        "new_tokens": length,
        "capped": length == len(answer),
    } | given
