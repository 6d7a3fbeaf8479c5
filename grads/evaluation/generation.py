"""Greedy generation of the domain answers."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from grads.data.records.formatting import Formatter
from grads.data.records.record import Record
from grads.evaluation.engines.contract import Engine
from grads.models.causal import context_length, unwrap
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress


def generate(
    engine: Engine,
    formatter: Formatter,
    records: Sequence[Record],
    max_new_tokens: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Answer each record's prompt greedily, until an end token or `max_new_tokens`.

    End tokens are the template's end of turn, the tokenizer's own end of sequence, with which a model ends that was not
    tuned to the template, and those of the generation config that comes with the model.

    In float32 the answers are those of one prompt at a time, whatever the batches are.

    Args:
        engine: runs the model.
        formatter: gives the prompts' token ids (training's own) and the end tokens.
        records: what to answer; their `output` is the reference.
        max_new_tokens: most tokens of an answer.
        progress: advanced by one for each record.

    Returns:
        For each record, in order: `id`, `prompt` (with its template), `reference`, `prediction` (end token and outer
        white space removed), `new_tokens` (without the end token), `capped` (no end token came), and `references` where
        the record has further right answers.

    Raises:
        GradsError: a prompt and its answer may be longer than the model's positions.
    """
    prompts = [formatter.prompt_ids(record) for record in records]
    ends = end_ids(engine.model, formatter)
    _check_room(engine.model, max(map(len, prompts)), max_new_tokens)
    answers = engine.answers(prompts, max_new_tokens, ends, progress.advance)
    return [_row(formatter, record, answer, ends) for record, answer in zip(records, answers, strict=True)]


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
