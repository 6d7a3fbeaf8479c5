"""`weighted_hidden`: the mean of the LM head's inputs with weights 1 ... n, as later states have seen more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grads.signals.measures.contract import MeanSignal, Places

if TYPE_CHECKING:
    from torch import Tensor


def rising(places: Places) -> Tensor:
    """Return the weight of each token: its place in the record."""
    return places.position


SIGNAL = MeanSignal(
    name="weighted_hidden",
    source="SGPT, arXiv 2202.08904; RDS+, arXiv 2503.01807",
    tolerance=0.03,
    states="last",
    weights=rising,
)
