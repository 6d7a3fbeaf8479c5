"""`rho1`: only response tokens of which there is something to learn carry loss (selective language modelling).

A token's score is its excess loss: its loss under the model that is tuned less that under a reference model, which has
seen data of the wanted kind. The share `keep` of the response tokens with the highest scores carries loss; the others
stay in the context.

Certain: the score and its direction, and that the highest share of tokens is kept, 0.6 for the smaller of the paper's
models (arXiv 2404.07965, "Rho-1: Not All Tokens Are What You Need").

Ours: the reference is the model after the preliminary epoch on all records of the domain, where the paper trains one on
curated data; both losses are measured once, of the untuned model and after that epoch, where the paper takes the loss
of the model in training, in each batch again; so the share is one of all response tokens of the kept records and not of
each batch, and a step may have more of them or fewer. Equal scores go by the order of records and tokens. A record of
which no token is kept is dropped and counted; so is one that a probe left out because its losses were no numbers. The
method is one of pre-training; that it forgets less when a model is tuned is a question, not a claim of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from grads.study.paths import BASE, WARM
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy
from grads.training.token_losses import TokenLosses

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


class Rho1(Parameters):
    """Parameters of `rho1`."""

    keep: float = Field(0.6, gt=0, le=1, description="Share of the response tokens that carries loss.")


def needs(_parameters: Rho1) -> Needs:
    """Return the need of each response token's loss under the untuned model and after the preliminary epoch."""
    return Needs({BASE: frozenset({"token_losses"}), WARM: frozenset({"token_losses"})})


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Rho1) -> Prepared:
    """Keep the tokens of the highest excess loss, and leave out records that have none of them."""
    import numpy as np

    base, reference = TokenLosses(inputs, BASE), TokenLosses(inputs, WARM)
    unmeasured = base.left_out | reference.left_out
    scores = {
        id_: base.of(example) - reference.of(example) for id_, example in examples.items() if id_ not in unmeasured
    }
    every = np.concatenate([*scores.values(), np.empty(0, dtype=np.float32)])
    # What nothing precedes has no loss, and is no token that could be kept.
    count = max(1, round(parameters.keep * int(np.isfinite(every).sum())))
    order = np.argsort(-every, kind="stable")
    carries = np.zeros(len(every))
    carries[order[:count]] = 1.0
    ends = np.cumsum([len(row) for row in scores.values()])
    rows = np.split(carries, ends[:-1]) if scores else []
    weights = {id_: row.tolist() for id_, row in zip(scores, rows, strict=True) if row.any()}
    notes = {
        "response_tokens": len(every),
        "kept_tokens": int(carries.sum()),
        "records_without_kept_tokens": len(scores) - len(weights),
        "records_unmeasured": len(examples) - len(scores),
    }
    return Prepared({id_: examples[id_] for id_ in weights}, weights, notes)


STRATEGY = Strategy(
    name="rho1",
    title="Tokens of high excess loss (Rho-1)",
    source="arXiv 2404.07965, selective language modelling",
    parameters=Rho1,
    needs=needs,
    prepare=prepare,
)
