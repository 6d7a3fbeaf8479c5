"""The selection stage: from signal stores to which records are kept, and in what order."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from grads.data.vectors import Vectors
from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters
from grads.methods.registry import find_method, parse_parameters
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, read_json, write_json
from grads.study.paths import store_point
from grads.study.ratios import AUTO, keep_count


class Store(Protocol):
    """A signal store: a row of `signals` (from `id` on), and of each kind of vectors, a record; `left_out` are ids."""

    @property
    def signals(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def features(self) -> Mapping[str, Vectors]: ...  # noqa: D102
    @property
    def left_out(self) -> Sequence[str]: ...  # noqa: D102


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
    chosen first; records not kept follow by score, then id), kept, and weight (of mean 1 over those kept, else 0). The
    meta has counts and what made them.

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
    left_out = _left_out(stores, references)
    inputs = _inputs(method.needs(parsed), _pool(stores, left_out), left_out, stores, references, seed, ratio == AUTO)
    requested = _requested(method, parsed, ratio, inputs)
    inputs = replace(inputs, count=len(inputs.pool) if method.equal_steps else requested)
    choice = method.select(inputs, parsed)
    table = _table(method, inputs.pool["id"], choice, inputs.count)
    meta = _counts(table, requested) | {"left_out": sorted(left_out), "ratio": ratio, "seed": seed}
    meta |= {"method": method.name, "uses_target": method.uses_target, "notes": choice.notes}
    meta |= {"parameters": parsed.model_dump(), "seconds": round(time.monotonic() - started, 3)}
    _write(table, meta, Path(out))
    return meta


def _write(table: pd.DataFrame, meta: dict[str, Any], out: Path) -> None:
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(out.with_suffix(".json"), meta)


def _counts(table: pd.DataFrame, requested: int) -> dict[str, Any]:
    actual = int(table["kept"].sum())
    return {
        "requested": requested,
        "actual": actual,
        "eligible": len(table),
        "shortfall": max(0, requested - actual),
    }


def _left_out(stores: Mapping[str, Store], references: Mapping[str, Path]) -> frozenset[str]:
    """Return the ids that a probe left out for signals that are no numbers, of a reference's stores too.

    They are in no pool of what builds on those signals; arms that read none of them keep them.
    """
    found: set[str] = set()
    for name, store in stores.items():
        if not store_point(name)[2]:
            found.update(store.left_out)
    for path in references.values():
        found.update(read_json(path.with_suffix(".json"))["left_out"])
    return frozenset(found)


def _pool(stores: Mapping[str, Store], left_out: Collection[str]) -> pd.DataFrame:
    pool = stores["tokens"].signals.sort_values("id", ignore_index=True)
    pool = pool[~pool["id"].isin(left_out)].reset_index(drop=True)
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
    needs: Needs,
    pool: pd.DataFrame,
    left_out: Collection[str],
    stores: Mapping[str, Store],
    references: Mapping[str, Path],
    seed: int,
    auto: bool,
) -> Inputs:
    """Return what the method selects from, except for the count."""
    signals, features = {"tokens": pool}, {}
    for name in sorted(needs.stores):
        if name not in stores:
            raise GradsError(f"the signals '{name}' are needed and not given: run that probe first")
        ids = stores[name].signals["id"]
        validation = store_point(name)[2]
        position = _by_id(ids) if validation else _positions(f"the signals '{name}'", ids, pool["id"], left_out)
        signals[name] = stores[name].signals.iloc[position].reset_index(drop=True)
        features[name] = {kind: vectors.ordered(position) for kind, vectors in stores[name].features.items()}
    selections = {}
    for arm in needs.references(auto):
        if arm not in references:
            raise GradsError(f"the selection of arm '{arm}' is needed and not given: add the arm at this ratio")
        table = pd.read_parquet(references[arm])
        position = _positions(f"the selection of arm '{arm}'", table["id"], pool["id"], left_out)
        selections[arm] = table.iloc[position].reset_index(drop=True)
    return Inputs(signals, features, selections, count=0, seed=seed)


def _by_id(ids: pd.Series) -> list[int]:
    names = ids.tolist()
    return sorted(range(len(names)), key=names.__getitem__)


def _positions(what: str, ids: pd.Series, pool: pd.Series, left_out: Collection[str]) -> list[int]:
    """Return where each of the pool's ids stands in `ids`, which must hold the same ids once each, or ids left out."""
    names = ids.tolist()
    positions = [position for position in _by_id(ids) if names[position] not in left_out]
    if [names[position] for position in positions] != pool.tolist():
        raise GradsError(
            f"{what} has {len(ids)} records that are not the pool's {len(pool)}: delete what is outdated, run again"
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
    columns = {"id": ids, "score": score, "rank": 0, "kept": kept, "weight": _weights(method, choice, kept)}
    table = pd.DataFrame(columns).iloc[order].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    return table


def _weights(method: Method, choice: Choice, kept: np.ndarray) -> np.ndarray:
    """Return how much each record counts in training, 1 on average over those kept, 0 for the others."""
    given = np.ones(len(kept)) if choice.weights is None else np.asarray(choice.weights, dtype=float)
    if given.shape != kept.shape or not (np.isfinite(given[kept]) & (given[kept] >= 0)).all():
        raise ValueError(f"method '{method.name}' returned weights that are not {len(kept)} numbers of at least 0")
    weights = np.where(kept, given, 0.0)
    return weights * kept.sum() / weights.sum() if weights.sum() else kept.astype(float)
