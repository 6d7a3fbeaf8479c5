"""The selection stage: from signal stores to which records are kept, and in what order."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters
from grads.methods.registry import find_method, parse_parameters
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, write_json
from grads.study.ratios import AUTO, keep_count


class Store(Protocol):
    """A signal store in memory: a row of `signals` (from `id` on) and of `features` (N x d, if any) a record."""

    @property
    def signals(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def features(self) -> np.ndarray | None: ...  # noqa: D102


def select_records(
    method_name: str,
    parameters: Mapping[str, Any],
    ratio: str,
    seed: int,
    stores: Mapping[str, Store],
    references: Mapping[str, Path],
    out: Path,
) -> dict[str, Any]:
    """Select records and write the selection with its meta beside it (`<stem>.json`); return the meta.

    The Parquet file has a row for every eligible record, ordered by rank: id, score (the higher the better), rank (1 is
    chosen first; records not kept follow by score, then id) and kept. The meta has counts and what made them.

    Args:
        method_name: a name of the registry.
        parameters: those that differ from the method's defaults.
        ratio: shortest decimal; `0` for a method that keeps nothing; `auto` (see `Method.automatic_count`).
        seed: for random draws, already derived for its purpose.
        stores: `tokens`, and by name those that the method needs.
        references: selections of the arms that the method needs, by arm.
        out: path of the Parquet file.

    Raises:
        GradsError: a parameter is wrong, an input is missing or belongs to other records, or a score is NaN.
    """
    started = time.monotonic()
    method = find_method(method_name)
    parsed = parse_parameters(method, parameters)
    inputs = _inputs(method.needs(parsed), _pool(stores), stores, references, seed, ratio == AUTO)
    requested = _requested(method, parsed, ratio, inputs)
    inputs = replace(inputs, count=len(inputs.pool) if method.equal_steps else requested)
    choice = method.select(inputs, parsed)
    table = _table(method, inputs.pool["id"], choice, inputs.count)
    meta = _counts(table, requested) | {"method": method.name, "parameters": parsed.model_dump(), "notes": choice.notes}
    meta |= {"ratio": ratio, "seed": seed, "seconds": round(time.monotonic() - started, 3)}
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(Path(out).with_suffix(".json"), meta)
    return meta


def _counts(table: pd.DataFrame, requested: int) -> dict[str, Any]:
    actual = int(table["kept"].sum())
    return {
        "requested": requested,
        "actual": actual,
        "eligible": len(table),
        "shortfall": max(0, requested - actual),
    }


def _pool(stores: Mapping[str, Store]) -> pd.DataFrame:
    pool = stores["tokens"].signals.sort_values("id", ignore_index=True)
    if pool.empty:
        raise GradsError("there is no eligible training record to select from: look at the counts of the domain's data")
    if pool["id"].duplicated().any():
        raise GradsError(f"record {pool['id'][pool['id'].duplicated()].iloc[0]} is twice in the pool: prepare it again")
    return pool


def _requested(method: Method, parameters: Parameters, ratio: str, inputs: Inputs) -> int:
    """Return how many records the ratio asks for: a share of the pool, or the method's or its reference's own count."""
    if ratio == AUTO:
        count, reference = method.automatic_count(parameters), method.needs(parameters).count_of
        if count is not None:
            return count(inputs)
        if reference is None:
            raise GradsError(f"method '{method.name}' has no number of records of its own: give a ratio, not '{AUTO}'")
        return int(inputs.references[reference]["kept"].sum())
    if method.fixed_ratio not in (None, ratio):
        raise GradsError(f"method '{method.name}' has ratio {method.fixed_ratio} only, not {ratio}: remove its ratios")
    return 0 if ratio == "0" else keep_count(ratio, len(inputs.pool))


def _inputs(
    needs: Needs, pool: pd.DataFrame, stores: Mapping[str, Store], references: Mapping[str, Path], seed: int, auto: bool
) -> Inputs:
    """Return what the method selects from, except for the count."""
    signals, features = {"tokens": pool}, {}
    for name in sorted(needs.stores):
        if name not in stores:
            raise GradsError(f"the signals '{name}' are needed and not given: run that probe first")
        frame = stores[name].signals
        position = _positions(f"the signals '{name}'", frame["id"], pool["id"])
        signals[name] = frame.iloc[position].reset_index(drop=True)
        vectors = stores[name].features
        if vectors is not None:
            features[name] = vectors[position]
    selections = {}
    for arm in needs.references(auto):
        if arm not in references:
            raise GradsError(f"the selection of arm '{arm}' is needed and not given: add the arm at this ratio")
        table = pd.read_parquet(references[arm])
        position = _positions(f"the selection of arm '{arm}'", table["id"], pool["id"])
        selections[arm] = table.iloc[position].reset_index(drop=True)
    return Inputs(signals, features, selections, count=0, seed=seed)


def _positions(what: str, ids: pd.Series, pool: pd.Series) -> list[int]:
    """Return where each of the pool's ids stands in `ids`, which must hold the same ids once each."""
    names = ids.tolist()
    positions = sorted(range(len(names)), key=names.__getitem__)
    if [names[position] for position in positions] != pool.tolist():
        raise GradsError(
            f"{what} has {len(names)} records that are not the pool's {len(pool)}: delete what is outdated, run again"
        )
    return positions


def _table(method: Method, ids: pd.Series, choice: Choice, count: int) -> pd.DataFrame:
    """Return the selection ordered by rank, after checking what the method returned."""
    score = np.asarray(choice.score, dtype=float)
    if score.shape != (len(ids),):
        raise ValueError(f"method '{method.name}' returned scores of shape {score.shape} for {len(ids)} records")
    if np.isnan(score).any():
        raise GradsError(
            f"method '{method.name}' scored {int(np.isnan(score).sum())} of {len(ids)} records as NaN (first: "
            f"{ids[int(np.isnan(score).argmax())]}): look at their signals"
        )
    # Positions follow the ids, so a stable sort breaks ties by id.
    by_score = np.argsort(-score, kind="stable")
    chosen = by_score[:count] if choice.order is None else np.asarray(choice.order, dtype=int)
    kept = np.zeros(len(ids), dtype=bool)
    kept[chosen] = True
    if len(chosen) > count or kept.sum() != len(chosen):
        raise ValueError(f"method '{method.name}' returned {len(chosen)} places, some twice or more than {count}")
    order = np.concatenate([chosen, by_score[~kept[by_score]]])
    table = pd.DataFrame({"id": ids, "score": score, "rank": 0, "kept": kept}).iloc[order].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table
