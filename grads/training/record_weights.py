"""Records that count more or less in the loss, as several strategies have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Prepared

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


def refuse_steps_of_one(strategy: str, training: Training) -> Training:
    """Return the settings as they are.

    Raises:
        GradsError: every step has one record, whose weight would do nothing.
    """
    if training.global_batch == 1:
        raise GradsError(
            f"strategy '{strategy}' weighs records within a step, and training.global_batch is 1: raise it"
        )
    return training


def weighed(examples: Mapping[str, Example], weights: Mapping[str, float]) -> Prepared:
    """Give every response token its record's weight; a record of weight 0 is left out and counted.

    Args:
        examples: by id.
        weights: of each of them, at least 0.
    """
    kept = {id_: example for id_, example in examples.items() if weights[id_] > 0}
    used = [weights[id_] for id_ in kept]
    notes = {"records_of_weight_0": len(examples) - len(kept), "distinct_weights": len(set(used))}
    spread = {"least_weight": min(used), "largest_weight": max(used)} if used else {}
    return Prepared(
        kept, {id_: [weights[id_]] * example.response_tokens for id_, example in kept.items()}, notes | spread
    )
