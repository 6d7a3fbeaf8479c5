"""`delta_loss`: records whose loss the preliminary epoch lowered most, as what a model can learn.

    score = NLL(y | x) of the untrained model - NLL(y | x) after the preliminary epoch

per token of the answer, or as a share of the first with `relative`. What the model knew already, and what it could not
learn in an epoch, changes little; `order: lowest` keeps those.

Certain: the difference of the two losses, highest first, as in DataFlex's selector of the same name.

Ours: DataFlex draws repeatedly in training: from a window over the sorted differences that moves towards smaller ones,
records outside of it forty times less likely, and none whose loss has risen in it. Here it is one choice before
training, of the highest, after an epoch in which the model has seen the records. `relative` is ours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters


class DeltaLoss(Parameters):
    """Parameters of `delta_loss`."""

    order: Literal["highest", "lowest"] = Field("highest", description="Which are kept.")
    relative: bool = Field(False, description="Whether a loss counts by which share of it was lost.")


def needs(_parameters: DeltaLoss) -> Needs:
    """Return the need of losses before and after the preliminary epoch."""
    return Needs({"base": frozenset({"losses"}), "warm": frozenset({"losses"})})


def select(inputs: Inputs, parameters: DeltaLoss) -> Choice:
    """Choose by the difference."""
    import numpy as np

    before, after = (inputs.signals[point]["response_nll"].to_numpy(dtype=float) for point in ("base", "warm"))
    change = before - after
    if parameters.relative:
        # An answer that was certain has no loss to lose.
        change = np.where(before > 0, change / np.where(before > 0, before, 1.0), 0 * change)
    notes = {"mean_change": round(float((before - after).mean()), 6), "risen": int((after > before).sum())}
    return Choice(change if parameters.order == "highest" else -change, notes=notes)


METHOD = Method(
    name="delta_loss",
    title="Delta loss",
    source="selector delta_loss of OpenDCAI/DataFlex",
    select=select,
    parameters=DeltaLoss,
    needs=needs,
)
