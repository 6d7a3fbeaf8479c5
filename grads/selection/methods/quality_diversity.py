"""`quality_diversity`: the best records by a score, without those that are like a better one.

Records are gone through from the highest score on, and one is kept unless its cosine to a kept one is above a
threshold, until there are enough. A pool whose records are alike gives fewer than are asked for.

Certain: the rule and its threshold of 0.9, which are Deita's (arXiv 2312.15685), and that its score is a product of
two, of complexity and of quality (a conversation's is the sum over its turns).

Ours: where the score comes from. `fields` are numbers that the records bring along, whose product is taken: those of
Deita's scorers, of a judge, or whatever there is. Without `fields` it is the model's own IFD, as the method `ifd` has
it, and what that discards is not kept. What is compared is the mean hidden states of the untrained model, or by
`encoder` the embeddings of a sentence encoder; Deita takes the last state of a language model of its own. Mean states
of one model have most of their direction in common, so that nearly all cosines are above 0.9: the pool's mean is taken
off first, unless `centred` is false, which is the authors' form. Cosines count to six decimals.

Notes have `passed_over`, how many were left out for being like a better one before there were enough, and, where scores
are IFD, `discarded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content
from grads.selection.methods.ifd import difficulty
from grads.selection.methods.metadata import Missing, numbers_of

if TYPE_CHECKING:
    import numpy as np

# Records whose cosines to those kept are taken together.
BLOCK = 256


def _each_once(fields: list[str]) -> list[str]:
    if len(set(fields)) < len(fields) or "" in fields:
        raise ValueError("name each field once")
    return fields


class QualityDiversity(Parameters):
    """Parameters of `quality_diversity`."""

    fields: Annotated[list[str], AfterValidator(_each_once)] = Field(
        [], description="Fields of the records, of the domain's `metadata`, whose product is the score; IFD if none."
    )
    missing: Missing = Field("refuse", description="What becomes of records without a number in a field.")
    threshold: float = Field(0.9, ge=-1, le=1, description="Above this cosine to a kept record one is left out.")
    centred: bool = Field(True, description="Whether the pool's mean is taken off the vectors first.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")


def needs(parameters: QualityDiversity) -> Needs:
    """Return the need of embeddings, and of the records or of losses."""
    store, kind = content(parameters.encoder)
    if parameters.fields:
        return Needs({store: frozenset({kind})}, texts=frozenset({"train"}))
    losses = {"base": frozenset({"losses", "unconditional"})}
    return Needs(losses | {store: losses.get(store, frozenset()) | {kind}})


def select(inputs: Inputs, parameters: QualityDiversity) -> Choice:
    """Choose the best that are not like a better one.

    Raises:
        GradsError: no record has a field, or one has no number there and that is refused.
    """
    import numpy as np

    from grads.selection.algorithms.neighbours import centred_matrix
    from grads.selection.gradient_signals import below, highest

    notes: dict[str, object] = {}
    allowed = np.ones(len(inputs.pool), dtype=bool)
    if parameters.fields:
        values = np.prod([numbers_of(inputs, field, parameters.missing) for field in parameters.fields], axis=0)
        absent = np.isnan(values)
        score = below(np.where(absent, np.nanmin(values) if not absent.all() else 0.0, values), absent)
        notes["without_a_number"] = int(absent.sum())
    else:
        ratio = difficulty(inputs.signals["base"], "losses")
        allowed = ratio < 1
        score = below(ratio, ~allowed)
        notes["discarded"] = int((~allowed).sum())
    store, kind = content(parameters.encoder)
    vectors = inputs.features[store][kind]
    directions = centred_matrix(vectors, vectors.mean() if parameters.centred else np.zeros(vectors.shape[1]))
    ranked = highest(score, allowed, len(score))
    order = unlike(directions, ranked, parameters.threshold, inputs.count)
    seen = int(np.flatnonzero(ranked == order[-1])[0]) + 1 if len(order) == inputs.count else len(ranked)
    return Choice(score, order, notes | {"passed_over": seen - len(order)})


def unlike(directions: np.ndarray, ranked: np.ndarray, threshold: float, count: int) -> np.ndarray:
    """Return at most `count` of the positions `ranked`, in their order, no two with a cosine above a threshold.

    Args:
        directions: N x d of length 1, or 0, which is like nothing.
        ranked: positions, the best first.
        threshold: of a cosine, to six decimals.
        count: at least 1.
    """
    import numpy as np

    from grads.selection.algorithms.neighbours import DECIMALS

    kept = np.empty((count, directions.shape[1]), dtype=directions.dtype)
    order: list[int] = []
    for start in range(0, len(ranked), BLOCK):
        block = ranked[start : start + BLOCK]
        found = directions[block]
        open_ = ~(np.round(found @ kept[: len(order)].T, DECIMALS) > threshold).any(axis=1)
        alike = np.round(found @ found.T, DECIMALS) > threshold
        for place in range(len(block)):
            if not open_[place]:
                continue
            kept[len(order)] = found[place]
            order.append(int(block[place]))
            if len(order) == count:
                return np.array(order, dtype=int)
            open_ &= ~alike[place]
    return np.array(order, dtype=int)


METHOD = Method(
    name="quality_diversity",
    title="Quality and diversity",
    source="arXiv 2312.15685; code hkust-nlp/deita @405d060",
    select=select,
    parameters=QualityDiversity,
    needs=needs,
    may_fall_short=True,
)
