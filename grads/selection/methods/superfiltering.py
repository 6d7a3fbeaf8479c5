"""`superfiltering`: the records hardest to follow by a small model's measure, and of these some that stand for all.

1. IFD, the ratio of perplexities with and without the question, as the method `ifd` has it: of the records below 1 the
   highest are candidates, `candidates` times as many as are kept.
2. Of the candidates those are kept that make F(S) = sum over i of max over j in S of (c - |x_i - x_j|) large, x being
   embeddings of length 1 and c the largest distance: facility location, by the greedy algorithm.

Superfiltering (arXiv 2402.00530) scores with GPT-2: an arm has a `scorer` for that, which then gives the hidden states
too, unless there is an `encoder`.

Certain: both steps, the ratio of perplexities, its limit, Euclidean distances of normalised sentence embeddings, and
ten times as many candidates as records (10,400 and 1,040 of Alpaca).

Ours: hidden states where there is no `encoder` (the authors' embeds instruction, input and output by all-MiniLM-L6-v2);
similarities are c minus the distance, where the authors' library has exp(-distance / dimensions), which is nearly a
straight line there; ties go by id. More than 8,192 candidates are cut into random parts, as in `craig`. Where fewer
records than asked for are below 1, those are all that is kept.

The score is the ratio; among those kept, ranks are the order of the second step. Notes: `candidates`, `discarded`, and
`share_of_largest_objective`, F of what is kept as a share of F of all candidates.
"""

from __future__ import annotations

from pydantic import Field

from grads.selection.algorithms.partitions import PART
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content
from grads.selection.methods.ifd import Form, difficulty


class Superfiltering(Parameters):
    """Parameters of `superfiltering`."""

    form: Form = Field("perplexities", description="What the ratio is of.")
    candidates: float = Field(10.0, ge=1, description="So many times as many candidates as records are kept.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")


def needs(parameters: Superfiltering) -> Needs:
    """Return the need of losses with and without the question, and of embeddings."""
    store, kind = content(parameters.encoder)
    losses = {"base": frozenset({"losses", "unconditional"})}
    return Needs(losses | {store: losses.get(store, frozenset()) | {kind}})


def select(inputs: Inputs, parameters: Superfiltering) -> Choice:
    """Choose candidates by their ratios, and of these by facility location."""
    import numpy as np

    from grads.selection.algorithms.facility_location import FacilityLocation, similarities
    from grads.selection.algorithms.neighbours import unit_rows
    from grads.selection.algorithms.partitions import interleaved, partition, quotas, within_memory
    from grads.selection.gradient_signals import below, highest

    ratio = difficulty(inputs.signals["base"], parameters.form)
    discarded = ratio >= 1
    score = below(ratio, discarded)
    candidates = np.sort(highest(score, ~discarded, int(np.ceil(parameters.candidates * inputs.count))))
    notes: dict[str, object] = {"discarded": int(discarded.sum()), "candidates": len(candidates)}
    count = min(inputs.count, len(candidates))
    if not count:
        return Choice(score, candidates, notes)
    store, kind = content(parameters.encoder)
    vectors = inputs.features[store][kind]
    ids = inputs.pool["id"].to_numpy()[candidates].tolist()
    parts = [candidates[part] for part in partition(ids, count, "auto", within_memory(PART, vectors), inputs.seed)]
    orders = []
    reached = []
    for part, share in zip(parts, quotas(count, parts), strict=True):
        found = FacilityLocation(similarities(unit_rows(vectors.unit[part])))
        orders.append(part[found.choose(share)])
        reached.append(found.share)
    notes["share_of_largest_objective"] = round(float(np.mean(reached)), 6)
    return Choice(score, interleaved(orders), notes)


# A smaller number has fewer candidates, and so another beginning.
METHOD = Method(
    name="superfiltering",
    title="Superfiltering",
    source="arXiv 2402.00530; code tianyi-lab/Superfiltering @f0764af",
    select=select,
    parameters=Superfiltering,
    needs=needs,
    nested=False,
    may_fall_short=True,
    in_parts=True,
)
