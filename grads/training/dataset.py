"""What a run trains on: the kept records as its strategy prepares them, and the order of their visits."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.prompts import load_prompts
from grads.data.records.record import Record, load_records
from grads.data.selections import read_selection
from grads.runtime.errors import GradsError
from grads.study.seeds import own_seed
from grads.training.cell import TrainingCell
from grads.training.strategies.contract import Inputs, Needs
from grads.training.strategies.registry import find_strategy, parse_parameters
from grads.training.visits import matched_order, training_order


@dataclass(frozen=True)
class Material:
    """What a run trains on.

    Attributes:
        visits: every visit of every example, in the order of training.
        weights: by id, how much each response token of an example counts; 1 where it is not named.
        notes: what the strategy says of it.
    """

    visits: list[Example]
    weights: Mapping[str, Sequence[float]]
    notes: Mapping[str, Any]

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
    inputs = _inputs(cell, strategy.needs(parameters), records, selection, formatter, training)
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
    return Material([prepared.examples[id_] for id_ in order], prepared.weights, prepared.notes)


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
    selection: pd.DataFrame | None,
    formatter: Formatter,
    training: Training,
) -> Inputs:
    """Return what the strategy reads."""
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
    if needs.replay:
        if cell.replay is None:
            raise GradsError(f"strategy '{cell.strategy}' replays general records and none are given: give some")
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
        test_prompts=prompts,
        seed=own_seed(cell.order_seed, "strategy"),
    )
