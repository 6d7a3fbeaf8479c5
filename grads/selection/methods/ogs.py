"""`ogs`: Orthogonal Gradient Selection in its static form, records whose gradients cross those of general data.

g_ref is the mean gradient of general instructions (the anchor), and cos the cosine of a record's gradient with it,
both of the adapter, in a random projection, by default that of the untrained model.

- `orthogonal`: the highest 1 - |cos|, as the paper scores records.
- `signed`: records with cos < 0, whose training steps would raise the loss on general data, are dropped, and the others
  are taken by cos, the most aligned first; fewer are chosen than asked for where too many are dropped. Among many
  dimensions nearly every |cos| is small, so that `orthogonal` ranks noise as high as what helps both.

Certain: the anchor's mean gradient, and 1 - |cos|, as two readers of the paper have them.

Ours: the paper's full form lets a policy trained by reinforcement choose clusters; the static form is how others re-ran
it. The anchor is what `general.instructions` names, drawn evenly, where readers of the paper have 150 records of GSM8K,
150 of MMLU and 100 of Alpaca. Order and dropping of `signed` are of our making. A LoRA adapter of an untrained model
has B = 0, so that its gradient is that of B alone; `point: warm` takes the gradients after the preliminary epoch. The
paper measures with a small model of the same family, its navigator, which is an arm's `scorer` here.
"""

from typing import Literal

from pydantic import Field

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import FeaturePoint


class Ogs(Parameters):
    """Parameters of `ogs`."""

    point: FeaturePoint = Field("base", description="Whose gradients: untrained, or after the preliminary epoch.")
    variant: Literal["orthogonal", "signed"] = Field(
        "orthogonal", description="Rank by 1 - |cos|, or drop those with cos < 0 and rank by cos."
    )


def needs(parameters: Ogs) -> Needs:
    """Return the need of gradients of training records and of the anchor."""
    return Needs({f"{parameters.point}{other}": frozenset({"sgd_features"}) for other in ("", "-anchor")})


def select(inputs: Inputs, parameters: Ogs) -> Choice:
    """Choose the records most orthogonal to the anchor's mean gradient, or those least in conflict with it.

    Raises:
        GradsError: the anchor's mean gradient is zero.
    """
    import numpy as np

    from grads.selection.algorithms.neighbours import DECIMALS, cosines_with, unit_rows
    from grads.selection.gradient_signals import highest

    reference = unit_rows(inputs.features[f"{parameters.point}-anchor"]["sgd_features"].mean()[None])[0]
    if not reference.any():
        raise GradsError("method 'ogs' finds the mean gradient of the anchor to be zero: use other anchor records")
    along = cosines_with(inputs.features[parameters.point]["sgd_features"], reference)
    notes = {"in_conflict": int((along < 0).sum()), "mean_cosine": round(float(along.mean()), DECIMALS)}
    if parameters.variant == "orthogonal":
        return Choice(1 - np.abs(along), notes=notes)
    return Choice(along, highest(along, along >= 0, inputs.count), notes)


METHOD = Method(
    name="ogs",
    title="OGS (static)",
    source="arXiv 2602.06359, as described by third parties",
    select=select,
    parameters=Ogs,
    needs=needs,
    in_parts=True,
)
