"""`less`: LESS, the records whose training step would lower the loss of target examples most.

The step that Adam would take for a record is compared with the gradients of validation records, by cosine in a random
projection of the adapter's parameters. A record's score is the highest over the subtasks of the target.

- `items`, the authors' code: the mean of the cosines with the gradients of a subtask's records.
- `mean_gradient`, the paper: the cosine with the mean of a subtask's gradients, in which long ones weigh more.

Certain: both, the highest over subtasks, and Adam's step against plain gradients.

The authors warm up for four epochs on 5 % of the records, and add up the cosines at the checkpoint of each epoch by its
mean learning rate. That is `point: warmup`, a training run of its own for this method, as `probe.warmup` says (its
`share` and `epochs`). There the aggregate is that of the code.

Ours: `point: warm` as the default, one checkpoint, that of the preliminary epoch on all records, which every method
shares. Subtasks are all validation records as one, or those of the same `source`. Projection and its size are those of
the study's `probe.features`, and what else shapes the warm-up is the study's `training`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np


class Less(Parameters):
    """Parameters of `less`."""

    point: Literal["warm", "warmup"] = Field(
        "warm", description="Whose gradients: after the preliminary epoch, or over the checkpoints of a warm-up."
    )
    aggregate: Literal["items", "mean_gradient"] = Field(
        "items", description="Mean of the cosines (authors' code), or cosine with the mean gradient (paper)."
    )
    subtasks: Literal["one", "source"] = Field(
        "one", description="All validation records as one subtask, or one for each `source`; the best of them counts."
    )

    @model_validator(mode="after")
    def _gradients_have_lengths(self) -> Less:
        if self.point == "warmup" and self.aggregate == "mean_gradient":
            raise ValueError(
                "over the checkpoints of a warm-up gradients have no lengths to take a mean by: take items"
            )
        return self


def needs(parameters: Less) -> Needs:
    """Return the needs: Adam's steps, validation gradients, and the sources of validation records where they count."""
    point = parameters.point
    stores = {point: frozenset({"adam_features"}), f"{point}-validation": frozenset({"sgd_features"})}
    return Needs(stores, texts=frozenset({"validation"} if parameters.subtasks == "source" else ()))


def select(inputs: Inputs, parameters: Less) -> Choice:
    """Choose the records with the highest cosine to a subtask."""
    import numpy as np

    from grads.selection.algorithms.neighbours import cosines_with

    names, targets = directions(inputs, parameters)
    nearness = cosines_with(inputs.features[parameters.point]["adam_features"], targets)
    counts = np.bincount(nearness.argmax(axis=1), minlength=len(names)).tolist()
    notes = {"records_nearest_to_subtask": dict(zip(names, counts, strict=True))}
    return Choice(nearness.max(axis=1), notes=notes)


def directions(inputs: Inputs, parameters: Less) -> tuple[list[str], np.ndarray]:
    """Return the names of J subtasks and J x d directions whose inner product with a unit vector is its score."""
    import numpy as np

    from grads.selection.algorithms.neighbours import unit_rows

    store = f"{parameters.point}-validation"
    gradients = inputs.features[store]["sgd_features"]
    sources = np.full(len(gradients), "all", dtype=object)
    if parameters.subtasks == "source":
        sources = inputs.texts["validation"].set_index("id")["source"]
        sources = sources.loc[inputs.signals[store]["id"]].to_numpy(dtype=object)
    names = sorted(set(sources))
    members = [gradients.ordered(np.flatnonzero(sources == name)) for name in names]
    # The mean of inner products is the inner product with the mean.
    if parameters.aggregate == "items":
        return names, np.stack([found.unit.mean() for found in members])
    return names, unit_rows(np.stack([found.mean() for found in members]))


METHOD = Method(
    name="less",
    title="LESS",
    source="arXiv 2402.04333; code princeton-nlp/LESS @8abf962",
    select=select,
    parameters=Less,
    needs=needs,
    uses_target=True,
    in_parts=True,
)
