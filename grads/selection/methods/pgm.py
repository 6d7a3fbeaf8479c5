"""`pgm`: Partitioned Gradient Matching, GRAD-MATCH on mini-batches in each of several parts of the pool.

The pool is cut into random parts, each part into mini-batches. In each part orthogonal matching pursuit with a ridge
penalty chooses mini-batches whose gradients, with weights, add up to those of the part, or to the validation gradients;
the subsets of all parts together are kept. What the pursuit is, and what its parameters mean, is told with
[`grad_match`](#grad_match).

Certain: parts that are matched on their own, mini-batches as what is chosen, l2-regularised weights, either target, and
the union (arXiv 2210.16892, for speech recognition; its code is not public).

Ours: the sizes of parts and mini-batches, for which no number is known to us, the drawing of both by seed and id, the
gradient (projected, of the adapter, where the paper has those of the joint network's last layer), ridge and epsilon, as
with `grad_match`, and the subset that is chosen once and not every few epochs. A record's weight is that of its
mini-batch, its score the product that the mini-batch was chosen by. Of the last mini-batch of a part those records are
left out that are too many, and what is missing is filled with random records of weight 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.selection.algorithms.partitions import Partitions
from grads.selection.contract import Choice, Inputs, Method
from grads.selection.methods.grad_match import (
    PART,
    Candidates,
    GradMatch,
    match_parts,
    needs,
    root_mean_square,
    uses_target,
)
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np


class Pgm(GradMatch):
    """Parameters of `pgm`: those of `grad_match`, and mini-batches."""

    partitions: Partitions = Field(4, description=f"Parts of the pool; auto: of {PART} records and 1 GiB at most.")
    batch: int = Field(4, ge=1, description="Records of a mini-batch.")


def select(inputs: Inputs, parameters: Pgm) -> Choice:
    """Match each part's mini-batches, then fill."""
    import numpy as np

    vectors = inputs.features[parameters.point]["sgd_features"]

    def batches(part: np.ndarray) -> Candidates:
        groups = mini_batches(part, inputs, parameters.batch)
        gradients = np.stack([vectors[group].sum(axis=0) for group in groups])
        return Candidates(gradients, groups, root_mean_square([gradients]))

    return match_parts(inputs, parameters, METHOD.name, batches)


def mini_batches(part: np.ndarray, inputs: Inputs, size: int) -> list[np.ndarray]:
    """Return the positions of a part in random mini-batches, the last of which may be smaller."""
    import numpy as np

    place = {inputs.pool["id"].iloc[position]: position for position in part.tolist()}
    drawn = np.array([place[id_] for id_ in shuffled_ids(place, own_seed(inputs.seed, "pgm"))], dtype=int)
    return [drawn[start : start + size] for start in range(0, len(drawn), size)]


METHOD = Method(
    name="pgm",
    title="PGM",
    source="arXiv 2210.16892, as its abstract and a review have it",
    select=select,
    parameters=Pgm,
    needs=needs,
    uses_target=uses_target,
    nested=False,
    draws=True,
)
