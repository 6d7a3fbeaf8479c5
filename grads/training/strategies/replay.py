"""`replay`: general instructions are mixed into the records of the domain.

`ratio` is records of the domain to general records; the default 2:1 is what EcomGPT-CT (arXiv 2312.15696) is reported
to mix in continual pre-training, there of texts, here of instructions with the same loss as the others. The general
records come from `general.instructions`; they are drawn by the seed alone, so that arms of equal size, of whatever
method, replay the same ones, and larger arms these and more. A general record that is a training record of the domain
is not drawn. Too few are refused, never repeated.

What is ours: the drawn records are part of the training set, so each epoch visits them once, in a seeded order with the
others, and `match: epochs` takes that many more steps (half again as many at 2:1). With `match: steps` or `tokens` the
whole stays that of the plain run on all records of the domain, general records included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from grads.runtime.errors import GradsError
from grads.study.seeds import shuffled_ids
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


class Replay(Parameters):
    """Parameters of `replay`."""

    ratio: str = Field("2:1", description="Records of the domain to general records, as two numbers above 0.")

    @field_validator("ratio")
    @classmethod
    def _two_numbers(cls, ratio: str) -> str:
        parts = ratio.split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) != 2 or not all(0 < number < float("inf") for number in numbers):
            raise ValueError("it is two numbers above 0 with a colon between, such as '2:1'")
        return ratio

    @property
    def share(self) -> float:
        """General records for each record of the domain."""
        domain, general = map(float, self.ratio.split(":"))
        return general / domain


def needs(parameters: Replay) -> Needs:
    """Return the need of general records."""
    return Needs(replay=parameters.share)


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Replay) -> Prepared:
    """Add the general records, at least one.

    Raises:
        GradsError: there are too few.
    """
    count = max(1, round(len(examples) * parameters.share))
    if count > len(inputs.replay):
        raise GradsError(
            f"strategy 'replay' at {parameters.ratio} adds {count} general records to {len(examples)} of the domain, "
            f"and {len(inputs.replay)} are eligible: raise general.instructions.replay, or lower the ratio"
        )
    drawn = shuffled_ids(inputs.replay, inputs.seed)[:count]
    general = {id_: inputs.replay[id_] for id_ in drawn}
    return Prepared({**examples, **general}, notes={"domain_records": len(examples), "general_records": count})


STRATEGY = Strategy(
    name="replay",
    title="Replay of general records",
    source="arXiv 2312.15696, as reported",
    parameters=Replay,
    needs=needs,
    prepare=prepare,
)
