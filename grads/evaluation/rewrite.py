"""Training records answered by the untuned model in its own words, with their answers to guide it.

The words that ask for it are those of "Self-Distillation Bridges Distribution Gap in Language Model Fine-Tuning" (arXiv
2402.13669, figure 3, and the template `alpaca_distill_using` of its code).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grads.config.evaluation import Evaluation
from grads.config.models import Format
from grads.config.training import Training
from grads.data.own_answers import OwnAnswer, write_own_answers
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, load_records
from grads.evaluation.engines.choice import engine_of
from grads.evaluation.generation import generate
from grads.models.causal import context_length, unwrap
from grads.models.device import chosen_precision, device
from grads.models.flops import FORWARD, stored_parameters
from grads.models.load import load_model, load_tokenizer
from grads.models.memory import spent
from grads.runtime.progress import Progress, say

GUIDE = (
    "Below are an instruction that describes a task along with a reference answer. Using the reference answer as a "
    "guide, write your own response.\n\n"
    "### Instruction:\n{question}\n\n### Reference Answer:\n{answer}\n\n### Response:\n"
)


def rewrite(
    model_folder: Path,
    records_path: Path,
    form: Format,
    limits: Training,
    max_new_tokens: int,
    evaluation: Evaluation,
    out: Path,
    label: str,
) -> None:
    """Write the untuned model's own answers to all eligible training records for which it has room.

    Args:
        model_folder: the prepared model.
        records_path: Parquet of the training records.
        form: how records become prompts.
        limits: training's; they say which records are eligible.
        max_new_tokens: most tokens of an answer.
        evaluation: what runs the model.
        out: folder to write.
        label: opens the progress lines.
    """
    started = time.monotonic()
    formatter = Formatter(load_tokenizer(model_folder), form)
    records = load_records(records_path)
    eligible = {example.id for example in formatter.tokenize(records, limits.max_length, limits.over_length).examples}
    model = load_model(model_folder, evaluation.precision)
    wanted = [record for record in records if record.id in eligible]
    asked = _with_room(formatter, [guided(one) for one in wanted], max_new_tokens, context_length(unwrap(model).config))
    if len(asked) < len(wanted):
        say(f"{label}: no room for {len(wanted) - len(asked)} of {len(wanted)} prompts; their answers stay as they are")
    with engine_of(model, evaluation) as engine:
        rows = generate(engine, formatter, asked, max_new_tokens, Progress(label, len(asked))) if asked else []
        ran_by = engine.record()
    answers = [OwnAnswer(row["id"], row["prediction"], row["capped"]) for row in rows]
    tokens = sum(len(formatter.prompt_ids(record)) for record in asked) + sum(row["new_tokens"] for row in rows)
    meta = {"records": len(wanted), "answers": len(answers), "gradient_passes": 0, "engine": ran_by}
    meta |= {"flops": float(FORWARD * stored_parameters(model_folder) * tokens)}
    meta |= {"precision": chosen_precision(evaluation.precision)} | spent(started, device())
    write_own_answers(out, answers, meta)


def guided(record: Record) -> Record:
    """Return a record whose question asks for the answer in other words, and shows it; earlier turns stay."""
    return replace(record, instruction=GUIDE.format(question=record.question, answer=record.output), input="")


def _with_room(formatter: Formatter, records: Sequence[Record], new_tokens: int, room: int | None) -> list[Record]:
    return [one for one in records if room is None or len(formatter.prompt_ids(one)) + new_tokens <= room]
