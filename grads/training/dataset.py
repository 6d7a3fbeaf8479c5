"""What a run trains on: the kept records as its strategy prepares them, and the order of their visits."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from grads.config.training import Training
from grads.data.own_answers import read_own_answers
from grads.data.records.formatting import Example, Formatter
from grads.data.records.prompts import load_prompts
from grads.data.records.record import Record, load_records
from grads.data.selections import read_selection
from grads.runtime.errors import GradsError
from grads.study.seeds import own_seed
from grads.training.cell import TrainingCell
from grads.training.strategies.contract import Inputs, Needs, OwnAnswer
from grads.training.strategies.registry import find_strategy, parse_parameters
from grads.training.visits import matched_order, optimiser_steps, training_order


@dataclass(frozen=True)
class Material:
    """What a run trains on.

    Attributes:
        visits: every visit of every example, in the order of training.
        weights: by id, how much each response token of an example counts; 1 where it is not named.
        notes: what the strategy says of it.
        schedule: optimiser steps that the rate's schedule spans, more than the visits take where the run stops early.
        general: examples that are not trained on, for what the strategy measures of the base model.
    """

    visits: list[Example]
    weights: Mapping[str, Sequence[float]]
    notes: Mapping[str, Any]
    schedule: int
    general: Sequence[Example] = ()

    @property
    def order(self) -> list[str]:
        """The ids of the visits."""
        return [example.id for example in self.visits]

    @property
    def sha256(self) -> str:
        """A hash of the visits in their order: the tokens of each, and which of them carry loss."""
        total = hashlib.sha256()
        for example in self.visits:
            tokens = array("q", example.input_ids)
            total.update(f"{example.id} {len(tokens)} {example.prompt_tokens} {example.earlier}".encode())
            total.update(tokens.tobytes())
        return total.hexdigest()


def prepare_material(cell: TrainingCell, formatter: Formatter, training: Training) -> Material:
    """Return what a run trains on.

    Raises:
        GradsError: there is nothing to train on, or what the strategy needs is not there or does not suffice.
    """
    strategy = find_strategy(cell.strategy)
    parameters = parse_parameters(strategy, cell.strategy_parameters)
    records = load_records(cell.records)
    selection = _selection(cell.kept)
    kept = None if selection is None else set(selection["id"])
    chosen = records if kept is None else [record for record in records if record.id in kept]
    examples = _tokenized(chosen, formatter, training)
    if not examples:
        raise GradsError(f"{cell.label}: there is no record to train on; look at {cell.kept or cell.records}")
    inputs = _inputs(cell, strategy.needs(parameters), records, chosen, selection, formatter, training)
    prepared = strategy.prepare(examples, inputs, parameters)
    if not prepared.examples:
        raise GradsError(
            f"{cell.label}: strategy '{strategy.name}' leaves none of {len(examples)} records to train on: change its "
            "parameters, or keep more records"
        )
    steps_of = cell.steps_of_records
    if steps_of is not None:
        # The subset would grow or shrink under the strategy as these records do.
        steps_of = max(1, round(steps_of * len(prepared.examples) / len(examples)))
    tokens = {id_: len(example.input_ids) for id_, example in prepared.examples.items()}
    if cell.match == "epochs":
        order = training_order(list(tokens), training, cell.order_seed, steps_of)
    else:
        whole = [len(example.input_ids) for example in _tokenized(records, formatter, training).values()]
        order = matched_order(tokens, training, cell.order_seed, cell.match, whole)
    schedule = optimiser_steps(len(order), 1, training.global_batch)
    if cell.own.stop is not None:
        order = order[: max(1, round(cell.own.stop * schedule)) * training.global_batch]
    visits = [prepared.examples[id_] for id_ in order]
    return Material(visits, prepared.weights, prepared.notes, schedule, prepared.general)


def _selection(path: Path | None) -> pd.DataFrame | None:
    """Return the rows of the kept records; None where all are kept."""
    if path is None:
        return None
    selection = read_selection(path)
    return selection[selection["kept"]]


def _tokenized(records: list[Record], formatter: Formatter, training: Training) -> dict[str, Example]:
    found = formatter.tokenize(records, training.max_length, training.over_length).examples
    return {example.id: example for example in found}


def _inputs(
    cell: TrainingCell,
    needs: Needs,
    records: list[Record],
    chosen: list[Record],
    selection: pd.DataFrame | None,
    formatter: Formatter,
    training: Training,
) -> Inputs:
    """Return what the strategy reads; `chosen` are those of the records that are kept."""
    for name in needs.stores:
        if name not in cell.stores:
            raise GradsError(
                f"strategy '{cell.strategy}' needs the signals '{name}' and they are not given: run that probe first"
            )
    weights: dict[str, float] = {}
    if needs.weights:
        if selection is None or "weight" not in selection:
            raise GradsError(f"strategy '{cell.strategy}' reads a selection's weights and there are none: select again")
        weights = dict(zip(selection["id"], selection["weight"].tolist(), strict=True))
    replay: dict[str, Example] = {}
    if needs.replay or needs.fisher:
        if cell.replay is None:
            raise GradsError(f"strategy '{cell.strategy}' reads general records and none are given: give some")
        ours = {record.id for record in records}
        general = [record for record in load_records(cell.replay) if record.id not in ours]
        replay = _tokenized(general, formatter, training)
    if needs.test_prompts and cell.test is None:
        raise GradsError(f"strategy '{cell.strategy}' reads the prompts of a test set and none is given: use a study")
    prompts = load_prompts(cell.test, formatter, training.max_length) if needs.test_prompts and cell.test else []
    return Inputs(
        stores={name: cell.stores[name] for name in needs.stores},
        weights=weights,
        replay=replay,
        own_answers=_own_answers(cell, chosen, formatter, training) if needs.own_answers else {},
        test_prompts=prompts,
        seed=own_seed(cell.order_seed, "strategy"),
    )


def _own_answers(
    cell: TrainingCell, chosen: list[Record], formatter: Formatter, training: Training
) -> dict[str, OwnAnswer]:
    """Return the kept records as the model answers them, but for those that are then too long or have no answer."""
    if cell.own_answers is None:
        raise GradsError(
            f"strategy '{cell.strategy}' reads the model's own answers and none are given: write them first"
        )
    written = {id_: own for id_, own in read_own_answers(cell.own_answers).items() if own.answer.strip()}
    known = {record.id: record for record in chosen if record.id in written}
    answered = [replace(record, output=written[id_].answer) for id_, record in known.items()]
    examples = _tokenized(answered, formatter, training)
    return {
        id_: OwnAnswer(written[id_].answer, known[id_].output, written[id_].capped, example)
        for id_, example in examples.items()
    }
