"""What a selection method is: what it declares before any work, what it is given, and what it returns.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a method's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from grads.config.ratios import AUTO

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from grads.signals.vectors import Vectors


class Parameters(BaseModel):
    """Parameters of a method; this one has none. Unknown ones are refused, values are not converted from text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# Splits whose texts a method may read; never those of test.
TEXTS = frozenset({"train", "validation"})


@dataclass(frozen=True)
class Needs:
    """What must be there before a method can select.

    Args:
        stores: signal stores in addition to `tokens`, which every method gets, and what each must hold. Stores of the
            model are `warm` (after the preliminary epoch), `base` (untrained weights) and `during` (before each step of
            that epoch). They hold any of these, each of which becomes columns or, where it is called so, a kind of
            vector:

            - `losses`: response_nll, which comes with all below that need a loss; `prompt`: prompt_nll, sequence_nll;
              `el2n`; `low_perplexity`: low_ppl_fraction; `unconditional`: unconditional_nll, by a second forward pass;
              `token_losses`: those of each response token, apart from the columns
            - `gradients`: embedding_ and head_ with l2, max, min, mean, std; `adapter`: adapter_ with the same, over
              all LoRA parameters; `mean_abs`: mean |g| too; `weights`: weights_l2, where all weights are trained
            - vectors `sgd_features` (gradients of the adapter, projected as `probe.features` says), and at `warm`
              `adam_features` (the steps that Adam would take, projected)
            - vectors `hidden` (mean of the last layer's states), `weighted_hidden` (weighted by position),
              `layer_hidden` (of `probe.hidden_layer`), `embeddings` (mean of the input embeddings)
            - any other signal that a file of `grads.signals.measures` or another package declares

            `encoder-<name>` holds the vectors `sentences`. `base-validation`, `warm-validation` and
            `encoder-<name>-validation` hold the same of the validation records, and with `-anchor` in its place of
            general instructions. `trajectory` holds the vectors `losses`: response_nll at checkpoints of a training
            run, a column a checkpoint. `warmup` and `warmup-validation` hold `adam_features` and `sgd_features` over
            the checkpoints of a run on a part of the records, of length 1, so that products are the weighted sums over
            checkpoints of the cosines at each.
        texts: of `train` and `validation` (see TEXTS), those whose texts are read.
        files: the user's own files that are read, by paths relative to the working folder.
        arms: arms whose selection at the same ratio and seed is read.
        count_of: arm whose number of records is taken where the ratio is `auto`.
    """

    stores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    count_of: str | None = None

    def references(self, auto: bool) -> tuple[str, ...]:
        """Return the arms whose selections are read, `count_of` only where the ratio is `auto`, each once."""
        counted = (self.count_of,) if auto and self.count_of is not None else ()
        return tuple(dict.fromkeys((*self.arms, *counted)))


@dataclass(frozen=True)
class Inputs:
    """What a method selects from. All tables and vectors have the same N records, ordered by id.

    Those of validation and anchor records have rows of their own, ordered by id too.

    Args:
        signals: by store (`tokens` is always there), its columns; all begin with id and token counts.
        features: by store, then by kind, N x d vectors: `np.asarray(features["base"]["hidden"])`, or some rows at a
            time, in float32 (see `grads.signals.vectors.Vectors`).
        texts: by split, a table of records: id, instruction, input, output, source, and a column for each field that
            the domain's `metadata` names. Those of `train` are the N records, ordered by id.
        references: by arm, its selection (id, score, rank, kept, weight).
        count: how many records to choose, at most N.
        seed: for random draws, already derived for its purpose: never from arm or ratio. All methods get the same:
            `random` draws by it, and others by `grads.study.seeds.own_seed(seed, name)`, or they would draw alike.
        ratio: the keep ratio that `count` comes from, a shortest decimal, or `auto`.
    """

    signals: Mapping[str, pd.DataFrame]
    features: Mapping[str, Mapping[str, Vectors]]
    references: Mapping[str, pd.DataFrame]
    count: int
    seed: int
    texts: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    ratio: str = AUTO

    @property
    def pool(self) -> pd.DataFrame:
        """The store `tokens`: id, prompt_tokens, response_tokens, truncated of all eligible records."""
        return self.signals["tokens"]


@dataclass(frozen=True)
class Choice:
    """What a method chose.

    Args:
        score: N numbers, the higher the better; equal scores are ordered by id. NaN is an error.
        order: positions of the chosen records, first chosen first, at most `count`; None: the highest scores.
        notes: what a reader of the selection should know, as JSON values.
        weights: N numbers, how much each chosen record should count in training (the strategy `weighted` reads them;
            others do not); their mean over the chosen is made 1. None: all count alike.
    """

    score: np.ndarray
    order: np.ndarray | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    weights: np.ndarray | None = None


def _nothing(_parameters: Any) -> Needs:
    return Needs()


def _none(_parameters: Any) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Method:
    """A selection method, declared as `METHOD` in a file of its own in this package.

    Args:
        name: as the config calls it.
        title: as tables call it.
        source: the paper and where in it, or that the method is a control.
        select: the method itself.
        parameters: model of its parameters.
        needs: what it needs, given its parameters.
        fixed_ratio: the one ratio it has (`0`, `1`), or None.
        trains: whether there is anything to train.
        equal_steps: whether all records are kept at every ratio, and training sees as many of them, in the order of
            full data, as the optimiser steps of the ratio's subset have room for.
        uses_target: whether it sees examples of the target task, which tables mark; a function of the parameters where
            it depends on them (see `sees_target`).
        automatic_count: given the parameters, what counts the records to keep where the ratio is `auto`; None: such
            parameters give no count, but the method may take that of another arm.
        example: values for parameters that have no default, as lists, docs and tests show them.
        draws: whether, by default, chance plays a part in every pool, so that another seed chooses otherwise; not where
            it only cuts a large pool into parts, or fills up what the method leaves.
        nested: whether, by default, a smaller selection is the beginning of every larger one.
        may_fall_short: whether, by default, it may choose fewer records than it is asked for; tables mark what does,
            whatever is declared.
        in_parts: whether it reads vectors some at a time and never holds all of them, so that its job asks for less
            memory; a function of the parameters where it depends on them.
    """

    name: str
    title: str
    source: str
    select: Callable[[Inputs, Any], Choice]
    parameters: type[Parameters] = Parameters
    needs: Callable[[Any], Needs] = _nothing
    fixed_ratio: str | None = None
    trains: bool = True
    equal_steps: bool = False
    uses_target: bool | Callable[[Any], bool] = False
    automatic_count: Callable[[Any], Callable[[Inputs], int] | None] = _none
    example: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = False
    nested: bool = True
    may_fall_short: bool = False
    in_parts: bool | Callable[[Any], bool] = False

    @property
    def shown(self) -> Parameters:
        """The method's parameters where nothing is given but what must be."""
        return self.parameters(**self.example)

    def sees_target(self, parameters: Any) -> bool:
        """Return whether the method, with these parameters, sees examples of the target task."""
        return self.uses_target if isinstance(self.uses_target, bool) else self.uses_target(parameters)

    def reads_in_parts(self, parameters: Any) -> bool:
        """Return whether the method, with these parameters, never holds all vectors."""
        return self.in_parts if isinstance(self.in_parts, bool) else self.in_parts(parameters)
