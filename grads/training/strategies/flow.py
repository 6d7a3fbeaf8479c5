"""`flow`: records that the untuned model already finds likely count more, the others less (FLOW).

A record's weight is exp(-l / tau), with l its mean loss per response token under the model that is tuned, before it is
tuned, and tau the median of these losses over the kept records.

Certain: weights that fall with the pre-trained model's loss and come from these losses alone, with nothing to be tuned
(arXiv 2502.02797, "Upweighting Easy Samples in Fine-Tuning Mitigates Forgetting", its abstract).

Not certain: the form exp(-l / tau) and the median are the paper's as others repeat them; its full text was not read.

Ours: the weights are scaled to a mean of 1 over the kept records, and a step's loss is the weighted mean over its
response tokens, as under `weighted`: they set the records of a step against each other and do not change how much a
step counts. The losses are those of the store `base`, so all records of a study are measured once. A record that the
probe left out because its loss was no number is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.study.paths import BASE
from grads.training.record_weights import refuse_steps_of_one, weighed
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


class Flow(Parameters):
    """Parameters of `flow`."""

    temperature: float | None = Field(
        None,
        gt=0,
        description="Nats by which a loss is larger where the weight is e times smaller; the median if none.",
    )


def needs(_parameters: Flow) -> Needs:
    """Return the need of each record's loss under the untuned model."""
    return Needs({BASE: frozenset({"losses"})})


def settings(training: Training, _parameters: Flow) -> Training:
    """Return the settings as they are.

    Raises:
        GradsError: every step has one record, whose weight would do nothing.
    """
    return refuse_steps_of_one("flow", training)


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Flow) -> Prepared:
    """Give every token its record's weight.

    Raises:
        GradsError: a record was not measured, or the median of the losses is 0.
    """
    import numpy as np

    store = inputs.stores[BASE]
    left_out = set(store.left_out)
    measured = dict(zip(store.signals["id"], store.signals["response_nll"].astype(float), strict=True))
    kept = {id_: example for id_, example in examples.items() if id_ not in left_out}
    if missing := [id_ for id_ in kept if id_ not in measured]:
        raise GradsError(
            f"the signals '{BASE}' have no loss of record {missing[0]}: delete what is outdated, run again"
        )
    if not kept:
        return Prepared({})
    losses = np.array([measured[id_] for id_ in kept])
    temperature = parameters.temperature or float(np.median(losses))
    if not temperature > 0:
        raise GradsError("strategy 'flow': the median loss is 0, which is no temperature: give the parameter one")
    # Relative to the least loss, so that no number is too small; the scaling takes it out again.
    weights = np.exp((losses.min() - losses) / temperature)
    prepared = weighed(kept, dict(zip(kept, (weights / weights.mean()).tolist(), strict=True)))
    notes = {"temperature": temperature, "records_unmeasured": len(examples) - len(kept)}
    return replace(prepared, notes={**prepared.notes, **notes})


STRATEGY = Strategy(
    name="flow",
    title="Easy records weighted up (FLOW)",
    source="arXiv 2502.02797, as repeated by others",
    parameters=Flow,
    needs=needs,
    settings=settings,
    prepare=prepare,
)
