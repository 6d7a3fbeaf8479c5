"""Selecting from plain arrays: what somebody measured, in place of the probe's signal stores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from grads.config.ratios import AUTO
from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs, Method, Needs, Parameters
from grads.selection.registry import find_method, parse_parameters
from grads.selection.run import Chosen, check_numbers, choose
from grads.signals.names import SENTENCES, TRAJECTORY_LOSSES, VECTORS
from grads.signals.vectors import Vectors, split_lengths
from grads.study.paths import TOKENS, TRAIN, TRAJECTORY, encoder_store, store_point

Arrays: TypeAlias = Mapping[str, Any] | pd.DataFrame
"""By name a column (N numbers or texts) or vectors (N x d); `id` names the records, which are counted if there is none.

What is measured at several points, such as losses before and after the preliminary epoch, has a mapping of its own by
the point: `{"base": {"response_nll": ...}, "warm": {"response_nll": ...}}`.
"""
POSITION = "{:012d}"


def select_from_arrays(
    arrays: Arrays,
    method: str,
    parameters: Mapping[str, Any],
    ratio: str = AUTO,
    count: int | None = None,
    seed: int = 0,
    others: Mapping[str, Arrays] | None = None,
) -> Chosen:
    """Select as `select_records` does from stores that hold these arrays.

    Args:
        arrays: of the N records to select from.
        method: a name of the registry.
        parameters: those that differ from the method's defaults.
        ratio: keep ratio, or `auto`.
        count: how many records to keep, in place of a ratio.
        seed: for random draws.
        others: arrays of further records that the method reads: `validation`, `anchor`.

    Returns:
        What was chosen; ids are texts, and of records without ids the positions.

    Raises:
        GradsError: an array is missing, by name, has another number of rows, or holds what is no number.
    """
    found = find_method(method)
    try:
        parsed = parse_parameters(found, parameters)
    except GradsError as error:
        raise error.after("--parameter") from None
    given = {TRAIN: _Given(arrays, "the arrays"), **{name: _Given(of, name) for name, of in (others or {}).items()}}
    inputs = replace(_inputs(found, parsed, given, ratio, count), ratio=ratio, seed=seed)
    return choose(found, parsed, inputs, count)


class _Given:
    """Arrays of some records, ordered by id.

    Attributes:
        ids: the records', sorted.
    """

    def __init__(self, arrays: Arrays, called: str) -> None:
        self.called = called
        flat = {str(name): arrays[name] for name in arrays}
        self.by_store = {name: dict(of) for name, of in flat.items() if isinstance(of, Mapping)}
        self.flat = {name: self._array(name, of) for name, of in flat.items() if name not in self.by_store}
        self.by_store = {
            store: {name: self._array(name, of) for name, of in named.items()} for store, named in self.by_store.items()
        }
        lengths = {name: len(array) for name, array in self._all()}
        if not lengths:
            raise GradsError(f"{called}: there are none: give a column or vectors by name")
        first, rows = next(iter(lengths.items()))
        for name, length in lengths.items():
            if length != rows:
                raise GradsError(f"{called}: '{name}' has {length} rows, and '{first}' has {rows}: give as many")
        ids = self.flat.pop("id", None)
        named = [str(id_) for id_ in ids] if ids is not None else [POSITION.format(place) for place in range(rows)]
        if len(set(named)) < rows:
            raise GradsError(f"{called}: an id is there twice: give each record one of its own")
        self.order = sorted(range(rows), key=named.__getitem__)
        self.ids = [named[place] for place in self.order]

    def _array(self, name: str, given: Any) -> np.ndarray:
        array = np.asarray(given)
        if array.ndim not in (1, 2):
            raise GradsError(f"{self.called}: '{name}' has {array.ndim} dimensions: give N numbers or N x d")
        return array

    def _all(self) -> Iterator[tuple[str, np.ndarray]]:
        yield from self.flat.items()
        for named in self.by_store.values():
            yield from named.items()

    def columns(self, store: str) -> dict[str, np.ndarray]:
        """Return the columns of a store, in the order of the ids."""
        return {name: array[self.order] for name, array in self._of(store).items() if array.ndim == 1}

    def vectors(self, store: str) -> dict[str, np.ndarray]:
        """Return the vectors of a store, N x d by kind, in the order of the ids."""
        return {name: array[self.order] for name, array in self._of(store).items() if array.ndim == 2}

    def _of(self, store: str) -> dict[str, np.ndarray]:
        point, encoder, _records = store_point(store)
        return self.flat | self.by_store.get(encoder_store(encoder) if encoder else point, {})


class _Table(pd.DataFrame):
    """A table that says by name which column is missing."""

    _metadata = ["wanting"]  # noqa: RUF012 # as pandas asks for it
    wanting: str

    @property
    def _constructor(self) -> type["_Table"]:
        return _Table

    def __getitem__(self, key: Any) -> Any:
        asked = [key] if isinstance(key, str) else key if isinstance(key, list) else []
        missing = [name for name in asked if isinstance(name, str) and name not in self.columns]
        if missing:
            raise GradsError(self.wanting.format(", ".join(f"'{name}'" for name in missing)))
        return super().__getitem__(key)


def _inputs(
    method: Method,
    parsed: Parameters,
    given: Mapping[str, _Given],
    ratio: str,
    count: int | None,
    chain: tuple[str, ...] = (),
) -> Inputs:
    if method.name in chain:
        raise GradsError(f"the methods {', '.join(chain)} refer to each other in a circle: choose another reference")
    needs = method.needs(parsed)
    _check_given(method, needs, given)
    pool = given[TRAIN]
    signals = {TOKENS: _table(method, pool, TOKENS)}
    features = {}
    for store in sorted(needs.stores):
        of = given[store_point(store)[2]]
        signals[store] = _table(method, of, store)
        features[store] = {kind: Vectors(*_directions(rows)) for kind, rows in of.vectors(store).items()}
        check_numbers(store, signals[store], features[store])
    references = {}
    for name in needs.references(ratio == AUTO and count is None):
        other = find_method(name)
        defaults = parse_parameters(other, {})
        inputs = replace(_inputs(other, defaults, given, ratio, count, (*chain, method.name)), ratio=ratio)
        chosen = choose(other, defaults, inputs, count).table
        references[name] = chosen.sort_values("id", ignore_index=True)
    texts = {split: _table(method, given[split], TOKENS) for split in needs.texts}
    return Inputs(signals, features, references, count=0, seed=0, texts=texts)


def _directions(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # In single precision: nothing is saved by less of what is in memory already.
    return split_lengths(rows.astype(np.float64), np.float32)


def _table(method: Method, given: _Given, store: str) -> pd.DataFrame:
    table = _Table({"id": given.ids, **given.columns(store)})
    # What records may go without.
    table = table.assign(**{name: "" for name in ("input", "source") if name not in table.columns})
    table.wanting = f"method '{method.name}' reads {{}}, which {given.called} lack: add an array of N rows by that name"
    return table


def _check_given(method: Method, needs: Needs, given: Mapping[str, _Given]) -> None:
    """Refuse arrays that lack vectors, or further records, that a method reads."""
    read = {store_point(store)[2] for store in needs.stores} | needs.texts
    if missing := sorted(read - given.keys()):
        raise GradsError(f"method '{method.name}' reads {missing[0]} records: give their arrays as {missing[0]}=")
    for store, held in sorted(needs.stores.items()):
        point, encoder, records = store_point(store)
        kinds = {SENTENCES} if encoder else {TRAJECTORY_LOSSES} if point == TRAJECTORY else {*VECTORS}
        lacking = sorted((held & kinds) - given[records].vectors(store).keys())
        if lacking:
            raise GradsError(
                f"method '{method.name}' reads the vectors {_quoted(lacking)} of {records} records, which "
                f"{given[records].called} lack: add N x d numbers by that name"
            )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
