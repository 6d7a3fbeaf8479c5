"""`ifd`: instruction-following difficulty, answers that the question helps with least and still helps.

    IFD(x, y) = L(y | x) / L(y)          `losses`, Cherry LLM (arXiv 2308.12032)
    IFD(x, y) = ppl(y | x) / ppl(y)      `perplexities`, Superfiltering (arXiv 2402.00530)

L is the mean loss over the answer's tokens, with and without the question. The highest are kept below 1: a question
that makes its answer no likelier does not belong to it. Since those are never kept, fewer may be returned than asked.

Certain: both forms, each as in its authors' code, the limit of 1, and that the highest are kept.

Ours: which form is the default (Cherry's). Cherry scores with a model that has seen a thousand records of 100 clusters
for an epoch; here it is the model as it came (as in Superfiltering) or, by `point`, after an epoch over all records.
Superfiltering scores with GPT-2, by `scorer` of an arm. L(y) is taken after the prompt's first token, for a first token
has no loss. The text round question and answer is the model's own template, and the token that ends an answer counts on
both sides; the authors put marks of their own there (Cherry), or none (Superfiltering).

Of a conversation L(y) is of the last answer, and L(y | x) of all that carry loss. Where earlier ones do (`loss_turns:
all`, or a turn's own `weight`), the two would be of different tokens, and a record could be dropped for what an earlier
turn was like: such records are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Form = Literal["losses", "perplexities"]


class Ifd(Parameters):
    """Parameters of `ifd`."""

    point: Literal["base", "warm"] = Field("base", description="Whose losses: untrained, or after one epoch.")
    form: Form = Field("losses", description="What the ratio is of.")


def needs(parameters: Ifd) -> Needs:
    """Return the need of losses with and without the question."""
    return Needs({parameters.point: frozenset({"losses", "unconditional"})})


def select(inputs: Inputs, parameters: Ifd) -> Choice:
    """Choose the highest ratios below 1; others stand below them."""
    from grads.selection.gradient_signals import below, highest

    ratio = difficulty(inputs.signals[parameters.point], parameters.form)
    discarded = ratio >= 1
    score = below(ratio, discarded)
    return Choice(score, highest(score, ~discarded, inputs.count), {"discarded": int(discarded.sum())})


def difficulty(statistics: pd.DataFrame, form: Form) -> np.ndarray:
    """Return N ratios, of the columns response_nll and unconditional_nll; from 1 on a record is discarded."""
    import numpy as np

    given, alone = (statistics[name].to_numpy(dtype=float) for name in ("response_nll", "unconditional_nll"))
    if form == "perplexities":
        return np.exp(np.minimum(given - alone, 700))  # Beyond that there is no number.
    # An answer that is certain without its question is not helped by it.
    return np.where(alone > 0, given / np.where(alone > 0, alone, 1.0), 1.0 + 0 * given * alone)


METHOD = Method(
    name="ifd",
    title="IFD",
    source="arXiv 2308.12032, code @ad15ef5; for perplexities arXiv 2402.00530, code @f0764af",
    select=select,
    parameters=Ifd,
    needs=needs,
    may_fall_short=True,
)
