"""What a training strategy is: what it declares before any work, what it is given, and what it returns.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a strategy's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from grads.config.section import Section
from grads.config.training import Training

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from grads.data.records.formatting import Example


class Parameters(Section):
    """Parameters of a strategy; this one has none. Unknown ones are refused, values are not converted from text."""


class Store(Protocol):
    """A signal store: a row of `signals` (from `id` on) and an array of token losses a record; `left_out` are ids."""

    @property
    def signals(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def left_out(self) -> Sequence[str]: ...  # noqa: D102
    def token_losses(self) -> list[np.ndarray]: ...  # noqa: D102


@dataclass(frozen=True)
class Needs:
    """What must be there before a strategy can train.

    Args:
        stores: signal stores of the training records and what each must hold, as for selection methods.
        replay: general records for each record of the domain; 0: none.
        weights: whether the selection's weights are read.
    """

    stores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    replay: float = 0.0
    weights: bool = False


@dataclass(frozen=True)
class Inputs:
    """What a strategy may read beside the examples.

    Args:
        stores: by name, those that it needs.
        weights: how much each kept record should count, by id, 1 on average; empty unless needed.
        replay: eligible general records by id, none of them a training record of the domain; empty unless needed.
        seed: for random draws; never from arm or ratio.
    """

    stores: Mapping[str, Store] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    replay: Mapping[str, Example] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """What is trained on.

    Args:
        examples: by id.
        weights: by id, how much each token of the example's `response_positions` counts in the loss, at least 0 and
            not all 0; those of an example that is not named count 1.
        notes: what a reader of the run should know, as JSON values.
    """

    examples: Mapping[str, Example]
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def _nothing(_parameters: Any) -> Needs:
    return Needs()


def _unchanged(training: Training, _parameters: Any) -> Training:
    return training


def _all_alike(examples: Mapping[str, Example], _inputs: Inputs, _parameters: Any) -> Prepared:
    return Prepared(examples)


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A training strategy, declared as `STRATEGY` in a file of its own in this package.

    Args:
        name: as the config calls it.
        title: as pages call it.
        source: the paper and where in it, or that it is a control.
        parameters: model of its parameters.
        needs: what it needs, given its parameters.
        settings: the study's training settings as the strategy changes them; epochs, batch and lengths stay. It raises
            a GradsError where strategy and settings do not go together.
        prepare: what is trained on, of the kept records' examples by id. It raises a GradsError where the inputs do
            not suffice.
    """

    name: str
    title: str
    source: str
    parameters: type[Parameters] = Parameters
    needs: Callable[[Any], Needs] = _nothing
    settings: Callable[[Training, Any], Training] = _unchanged
    prepare: Callable[[Mapping[str, Example], Inputs, Any], Prepared] = _all_alike
