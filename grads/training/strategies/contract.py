"""What a training strategy is: what it declares before any work, what it is given, and what it returns.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a strategy's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from grads.config.section import Section
from grads.config.training import Training

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from grads.data.records.formatting import Example
    from grads.data.records.prompts import QuestionPrompt


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
        test_prompts: whether it learns from the prompts of the test set, of which it gets no answers; such an arm is
            never ranked with others.
        base_logits: whether its loss reads `Reference.logits`.
        base_weights: whether its loss reads `Reference.changes`.
        fisher: whether its loss reads `Reference.fisher`, of the general records that it prepares.
        own_answers: whether the model's own answers to the training records are read.
        run: the arm whose run it scales instead of training; see `Strategy.scale`.
    """

    stores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    replay: float = 0.0
    weights: bool = False
    test_prompts: bool = False
    base_logits: bool = False
    base_weights: bool = False
    fisher: bool = False
    own_answers: bool = False
    run: str | None = None


@dataclass(frozen=True)
class OwnAnswer:
    """A record as the untuned model answers it in its own words, its answer given as a guide.

    Args:
        answer: the model's.
        reference: the record's.
        capped: whether the model's answer was cut at `generation.max_new_tokens`.
        example: the record with the model's answer in the place of its own.
    """

    answer: str
    reference: str
    capped: bool
    example: Example


@dataclass(frozen=True)
class Inputs:
    """What a strategy may read besides the examples.

    Args:
        stores: by name, those that it needs.
        weights: how much each kept record should count, by id, 1 on average; empty unless needed.
        replay: eligible general records by id, none of them a training record of the domain; empty unless
            `Needs.replay` or `Needs.fisher` asks for some.
        own_answers: by id, of those kept records that were answered and are not too long then; empty unless needed.
        test_prompts: of the test set, those that are not too long; empty unless needed.
        seed: for random draws; never from arm or ratio.
    """

    stores: Mapping[str, Store] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    replay: Mapping[str, Example] = field(default_factory=dict)
    own_answers: Mapping[str, OwnAnswer] = field(default_factory=dict)
    test_prompts: Sequence[QuestionPrompt] = ()
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """What is trained on.

    Args:
        examples: by id.
        weights: by id, how much each token of the example's `response_positions` counts in the loss, at least 0 and
            not all 0; those of an example that is not named count 1.
        notes: what a reader of the run should know, as JSON values.
        general: general records that are not trained on, for `Reference.fisher`.
    """

    examples: Mapping[str, Example]
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    general: Sequence[Example] = ()


@dataclass(frozen=True)
class Batch:
    """A micro-batch of R records at its P predictions: the positions whose next token carries loss.

    All predictions of a record are in one micro-batch; which records share one is the machine's choice.

    Args:
        input_ids: R x tokens, padded on the right.
        records: P; the row of `input_ids` that a prediction belongs to, in rising order.
        positions: P; the last position that it sees: it predicts the token at `positions + 1`.
        labels: P; that token.
        weights: P, float32, above 0; how much it counts, 1 unless `Prepared.weights` says otherwise.
        logits: P x vocabulary, float32; the trained model's, with gradient.
    """

    input_ids: Tensor
    records: Tensor
    positions: Tensor
    labels: Tensor
    weights: Tensor
    logits: Tensor

    @cached_property
    def log_probabilities(self) -> Tensor:
        """The trained model's log-probabilities in nats, P x vocabulary, with gradient; made once."""
        return self.logits.log_softmax(dim=-1)

    @property
    def nll(self) -> Tensor:
        """The negative log-likelihood of each label in nats, P: the loss of plain training."""
        return -self.log_probabilities.gather(1, self.labels.unsqueeze(1)).squeeze(1)


class Change(Protocol):
    """What training has made of one weight so far: w - w0, w0 the base model's; gradients reach what is trained.

    For a layer with an adapter it is s B A, what the adapter adds to the layer's weight. A and B themselves have no
    place to be near to: A starts at random, and many pairs make the same weight.
    """

    def dense(self) -> Tensor:
        """Return it in the shape of the weight, float32; of an adapter's it takes the memory of the whole weight."""

    def squared_norm(self) -> Tensor:
        """Return the sum of its squares, a scalar; of an adapter's it is made from products of rank x rank."""


class Reference(Protocol):
    """The base model: as it was prepared, before any training, also where a run goes on from the preliminary epoch.

    With an adapter it is the same model with the adapter switched off, and takes no memory. Where all weights are
    trained it is a second, frozen copy in float32: 4 bytes for each weight of the model.
    """

    def logits(self, batch: Batch) -> Tensor:
        """Return the base model's logits for the same predictions: P x vocabulary, float32, without gradient.

        It is one more forward pass, without dropout, in the precision of training.

        Raises:
            GradsError: `Needs.base_logits` does not say so.
        """

    def changes(self) -> Mapping[str, Change]:
        """Return what training has made of each weight so far, by its name in the base model.

        Raises:
            GradsError: `Needs.base_weights` does not say so.
        """

    def fisher(self) -> Mapping[str, Tensor]:
        """Return the diagonal of the base model's Fisher information by the names of `changes`, float32.

        It is the mean over `Prepared.general` of the squared gradient of a response's log-likelihood, estimated once,
        before the first step. With an adapter it is that of the frozen weights that the adapter is added to.

        Raises:
            GradsError: `Needs.fisher` does not say so.
        """


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
        loss: the loss of each prediction, P, with gradient; `Batch.nll`, plain training's, where there is none. What
            is minimised is the mean over all predictions of the global batch, by their weights: the strategy divides
            by nothing, and its loss does not depend on the micro-batch as long as that of a record does not depend on
            the others. A penalty that counts once a step, as one on weights does, is added to each prediction's
            loss: the mean of a constant is the constant.
        scale: of a strategy that trains nothing, how much of what the run of `Needs.run` made of the base model's
            weights stays: w0 + scale (w - w0). Nothing else of such a strategy is asked for.
    """

    name: str
    title: str
    source: str
    parameters: type[Parameters] = Parameters
    needs: Callable[[Any], Needs] = _nothing
    settings: Callable[[Training, Any], Training] = _unchanged
    prepare: Callable[[Mapping[str, Example], Inputs, Any], Prepared] = _all_alike
    loss: Callable[[Batch, Reference, Any], Tensor] | None = None
    scale: Callable[[Any], float] | None = None
