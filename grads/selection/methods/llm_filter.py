"""`llm_filter`: records in which a language model finds no error, drawn at random.

A language model goes over the data before anything is learnt from it; what it finds wrong is never kept, so that fewer
records may be kept than are asked for.

Certain: "Large Language Models as Data Preprocessors" (arXiv 2308.16361) prompts GPT models for error detection, data
imputation, schema matching and entity matching in tables. It selects nothing for fine-tuning.

Ours: the use of its first task to select, and all else. Which of the sound records are kept is a draw, for the filter
does not rank them.

- `field` names what a language model said of each record: yes or no to the question of an error, or a number, the
  probability of one; above `limit` the record is out.
- Without a field two checks stand in for the prompt, by the losses of the untrained model, or with an arm's `scorer` of
  that one: an answer that its question makes no likelier does not match it (IFD of at least 1), and an answer whose
  loss is more than `deviations` standard deviations above the mean is no usual text. Neither reads what is said.

Notes have how many were out, and for which check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import own_seed, uniform

if TYPE_CHECKING:
    import numpy as np

VERDICTS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


class LlmFilter(Parameters):
    """Parameters of `llm_filter`; the defaults are ours."""

    field: str | None = Field(
        None, description="Field of the verdict, is there an error: yes, no or its probability; null: stand-in checks."
    )
    limit: float = Field(0.5, ge=0, le=1, description="Records of a higher probability of an error are out.")
    deviations: float = Field(3.0, gt=0, description="Losses so many standard deviations above the mean are out.")


def needs(parameters: LlmFilter) -> Needs:
    """Return the need of the verdicts, or of losses with and without the question."""
    if parameters.field:
        return Needs(texts=frozenset({"train"}))
    return Needs({"base": frozenset({"losses", "unconditional"})})


def select(inputs: Inputs, parameters: LlmFilter) -> Choice:
    """Draw from the records that have no error; others stand below them."""
    import numpy as np

    from grads.selection.gradient_signals import below, highest

    if parameters.field:
        checks = {"by_verdict": verdicts(inputs, parameters.field) > parameters.limit}
    else:
        checks = stand_ins(inputs, parameters.deviations)
    wrong = np.any(list(checks.values()), axis=0)
    seed = own_seed(inputs.seed, "llm_filter")
    score = below(np.array([uniform(id_, seed) for id_ in inputs.pool["id"]]), wrong)
    notes: dict[str, object] = {name: int(found.sum()) for name, found in checks.items()}
    return Choice(score, highest(score, ~wrong, inputs.count), {"stand_in": not parameters.field} | notes)


def stand_ins(inputs: Inputs, deviations: float) -> dict[str, np.ndarray]:
    """Return by the name of a check which of N records it finds wrong."""
    from grads.selection.methods.ifd import difficulty

    statistics = inputs.signals["base"]
    losses = statistics["response_nll"].to_numpy(dtype=float)
    # A rounding's width more, so that equal losses, whose deviation is rounding, are all usual.
    unusual = losses - losses.mean() > deviations * losses.std() + 1e-9
    return {"by_mismatch": difficulty(statistics, "losses") >= 1, "by_loss": unusual}


def verdicts(inputs: Inputs, field: str) -> np.ndarray:
    """Return the probability of an error in each of N records.

    Raises:
        GradsError: no record has the field, or one says neither yes nor no, nor a number from 0 to 1.
    """
    import numpy as np

    from grads.runtime.errors import GradsError
    from grads.selection.methods.metadata import column_of

    said = column_of(inputs.texts["train"], field)
    found = np.array([_probability(value) for value in said])
    wrong = ~((found >= 0) & (found <= 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise GradsError(
            f"record {inputs.pool['id'][first]} has {said[first]!r} in '{field}': write yes, no, or the probability of "
            "an error from 0 to 1"
        )
    return found


def _probability(value: object) -> float:
    text = str(value).strip().lower()
    try:
        return VERDICTS[text] if text in VERDICTS else float(text)
    except ValueError:
        return float("nan")


METHOD = Method(
    name="llm_filter",
    title="LLM as a filter (local)",
    source="after arXiv 2308.16361; its use to select, and the stand-in, ours",
    select=select,
    parameters=LlmFilter,
    needs=needs,
    draws=True,
    may_fall_short=True,
)
