"""The selection stage: from signal stores to which records are kept, and in what order."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from grads.config.ratios import AUTO, keep_count
from grads.data.passes import Lengths
from grads.data.records.record import load_records, own_ids
from grads.data.records.texts import text_table
from grads.data.selections import read_counts, read_selection
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, write_json
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.registry import find_method, parse_parameters
from grads.signals.vectors import Vectors
from grads.study.paths import TRAIN, store_point


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
    texts: Mapping[str, Path] | None = None,
    scorer: Store | None = None,
    records: Path | None = None,
) -> dict[str, Any]:
    """Select records and write the selection with its meta next to it (`<stem>.json`); return the meta.

    The Parquet file has a row for every eligible record, ordered by rank: id, score (the higher the better), rank (1 is
    chosen first; records not kept follow by score, then id), kept, and weight (of mean 1 over those kept, else 0).
    Where the owner of the data gave ids, they follow the id as `own_id`.

    Args:
        method_name: a name of the registry.
        parameters: those that differ from the method's defaults.
        ratio: shortest decimal; `0` for a method that keeps nothing; `auto` (see `Method.automatic_count`).
        seed: for random draws, already derived for its purpose.
        stores: `tokens`, and by name those that the method needs.
        references: selections of the arms that the method needs, by arm.
        out: path of the Parquet file.
        texts: by split, the records (Parquet) of those that the method reads.
        scorer: `tokens` of the model that the signals are of, where that is another than the one that is trained.
        records: the training records (Parquet), for their owner's ids and to see which of their answers carry loss.

    Raises:
        GradsError: a parameter is wrong, an input is missing or of other records, a score is NaN, nothing is kept, or
            the method compares answers with and without their questions in conversations of several.
    """
    started = time.monotonic()
    method = find_method(method_name)
    given = _Given(stores, references, texts or {}, scorer)
    parsed = parse_parameters(method, parameters)
    needs = method.needs(parsed)
    _check_answers(method, needs, given.pool["id"], records)
    chosen = choose(method, parsed, replace(_inputs(needs, given, seed, ratio == AUTO), ratio=ratio))
    table = _with_own_ids(chosen.table, records)
    made_by = {"method": method.name, "source": method.source, "uses_target": method.sees_target(parsed)}
    asked = {"ratio": ratio, "seed": seed, "parameters": parsed.model_dump()}
    meta = (
        chosen.counts
        | {"token_counts": _token_counts(table, given.pool)}
        | given.counts()
        | asked
        | made_by
        | {"notes": chosen.notes}
    )
    return _written(table, meta, started, Path(out))


@dataclass(frozen=True)
class Chosen:
    """What a method chose.

    Attributes:
        table: a row for each eligible record, by rank: id, score, rank, kept, weight.
        requested: how many records were asked for.
        notes: what a reader of the selection should know.
    """

    table: pd.DataFrame
    requested: int
    notes: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """How many records were asked for, are kept, and could have been kept."""
        return _counts(self.table, self.requested)


def choose(method: Method, parameters: Parameters, inputs: Inputs, count: int | None = None) -> Chosen:
    """Have a method choose from inputs that are in memory, whose count does not matter, and check what it returns.

    Args:
        method: the method.
        parameters: all of its parameters.
        inputs: what it selects from.
        count: how many records are wanted; by the inputs' ratio if not given.

    Raises:
        GradsError: the method has no such ratio, a score is NaN, or nothing is kept.
    """
    requested = _requested(method, parameters, inputs.ratio, inputs) if count is None else count
    inputs = _counted(method, inputs, requested)
    choice = method.select(inputs, parameters)
    table = _table(method, inputs.pool["id"], choice, inputs.count)
    weighted = {} if choice.weights is None else {"effective_records": effective(table["weight"])}
    return Chosen(table, requested, {**choice.notes, **weighted})


def effective(weights: pd.Series) -> float:
    """Return how many records of equal weight would vary a mean as much: (sum of w)^2 / sum of w^2 (L. Kish, 1965)."""
    return round(float(weights.sum() ** 2 / np.square(weights).sum()), 3)


def _with_own_ids(table: pd.DataFrame, records: Path | None) -> pd.DataFrame:
    """Return a selection with what the data's owner calls its records, if he does."""
    own = own_ids(records) if records else {}
    if own:
        table.insert(1, "own_id", [own.get(id_, "") for id_ in table["id"]])
    return table


class _Given:
    """What is given to select from, and the pool that all of it has in common.

    Attributes:
        left_out: ids that are not in the pool though the trained model could learn them: a probe left them out for
            signals that are no numbers (of a reference's stores too), or the scorer cannot read them. They are in no
            pool of what builds on those signals; arms that read none of them keep them.
        unread: ids that the scorer can read and the trained model cannot.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        references: Mapping[str, Path],
        texts: Mapping[str, Path],
        scorer: Store | None,
    ) -> None:
        self.stores = stores
        self.references = references
        self.texts = texts
        tokens = stores["tokens"].signals
        scored = set(tokens["id"] if scorer is None else scorer.signals["id"])
        self.not_scored = set(tokens["id"]) - scored
        self.unread = scored - set(tokens["id"])
        self.left_out = self.not_scored.copy()
        for name, store in stores.items():
            if store_point(name)[2] == TRAIN:
                self.left_out.update(set(store.left_out) - self.unread)
        for path in references.values():
            self.left_out.update(read_counts(path)["left_out"])
        self.pool = _pool(tokens, self.left_out)

    def counts(self) -> dict[str, Any]:
        """Return which records were left out, and how many of them for the scorer cannot read them."""
        return {"left_out": sorted(self.left_out), "left_out_by_scorer": len(self.not_scored)}

    def positions(self, what: str, ids: pd.Series) -> list[int]:
        """Return where each of the pool's ids stands in `ids`, which must hold the same ids once each, or ids that the
        pool is without.
        """
        names = ids.tolist()
        absent = self.left_out | self.unread
        positions = [place for place in _by_id(ids) if names[place] not in absent]
        if [names[place] for place in positions] != self.pool["id"].tolist():
            raise GradsError(
                f"{what} has {len(ids)} records that are not the pool's {len(self.pool)}: delete what is outdated, run "
                "again"
            )
        return positions


def _written(table: pd.DataFrame, meta: dict[str, Any], started: float, out: Path) -> dict[str, Any]:
    meta["seconds"] = round(time.monotonic() - started, 3)
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(out.with_suffix(".json"), meta)
    return meta


def _counts(table: pd.DataFrame, requested: int) -> dict[str, Any]:
    actual = int(table["kept"].sum())
    return {
        "requested": requested,
        "actual": actual,
        "eligible": len(table),
        "shortfall": max(0, requested - actual),
    }


def _token_counts(table: pd.DataFrame, pool: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return how many of the kept records have how many tokens, by part: what training on them takes is known by it."""
    kept = pool[pool["id"].isin(table["id"][table["kept"]])]
    prompts = kept["prompt_tokens"].astype(int)
    responses = kept["response_tokens"].astype(int)
    parts = {"prompts": prompts, "responses": responses, "examples": prompts + responses}
    return {name: Lengths.of(values.tolist()).as_json() for name, values in parts.items()}


def _pool(tokens: pd.DataFrame, left_out: Collection[str]) -> pd.DataFrame:
    pool = tokens.sort_values("id", ignore_index=True)
    pool = pool[~pool["id"].isin(left_out)].reset_index(drop=True)
    if pool.empty:
        raise GradsError("there is no eligible training record to select from: look at the counts of the domain's data")
    if pool["id"].duplicated().any():
        raise GradsError(f"record {pool['id'][pool['id'].duplicated()].iloc[0]} is twice in the pool: prepare it again")
    return pool


def _requested(method: Method, parameters: Parameters, ratio: str, inputs: Inputs) -> int:
    """Return how many records the ratio asks for: a share of the pool, or the method's or its reference's own count."""
    if ratio == AUTO:
        count = method.automatic_count(parameters)
        reference = method.needs(parameters).count_of
        if count is not None:
            return count(inputs)
        if reference is None:
            raise GradsError(f"method '{method.name}' has no number of records of its own: give a ratio, not '{AUTO}'")
        return int(inputs.references[reference]["kept"].sum())
    if method.fixed_ratio not in (None, ratio):
        raise GradsError(f"method '{method.name}' has ratio {method.fixed_ratio} only, not {ratio}: remove its ratios")
    return 0 if ratio == "0" else keep_count(ratio, len(inputs.pool))


def _counted(method: Method, inputs: Inputs, requested: int) -> Inputs:
    return replace(inputs, count=len(inputs.pool) if method.equal_steps else requested)


def _inputs(needs: Needs, given: _Given, seed: int, auto: bool) -> Inputs:
    """Return what the method selects from, except for the count."""
    signals = {"tokens": given.pool}
    features = {}
    for name in sorted(needs.stores):
        if name not in given.stores:
            raise GradsError(f"the signals '{name}' are needed and not given: run that probe first")
        store = given.stores[name]
        ids = store.signals["id"]
        of_pool = store_point(name)[2] == TRAIN
        position = given.positions(f"the signals '{name}'", ids) if of_pool else _by_id(ids)
        signals[name] = store.signals.iloc[position].reset_index(drop=True)
        features[name] = {kind: vectors.ordered(position) for kind, vectors in store.features.items()}
        check_numbers(name, signals[name], features[name])
    selections = {}
    for arm in needs.references(auto):
        if arm not in given.references:
            raise GradsError(f"the selection of arm '{arm}' is needed and not given: add the arm at this ratio")
        table = read_selection(given.references[arm])
        position = given.positions(f"the selection of arm '{arm}'", table["id"])
        selections[arm] = table.iloc[position].reset_index(drop=True)
    texts = _texts(needs, given.pool["id"], given.texts)
    return Inputs(signals, features, selections, count=0, seed=seed, texts=texts)


def check_numbers(name: str, signals: pd.DataFrame, features: Mapping[str, Vectors]) -> None:
    """Refuse what the probe never writes, whether or not the method would notice."""
    columns = {column: signals[column].to_numpy(dtype=float) for column in signals.select_dtypes("number")}
    columns |= {kind: found.norms[found.rows] for kind, found in features.items() if found.norms is not None}
    for column, values in columns.items():
        if not np.isfinite(values).all():
            raise GradsError(
                f"the signals '{name}' have no number for '{column}' of record "
                f"{signals['id'][int((~np.isfinite(values)).argmax())]}: measure them again"
            )


def _texts(needs: Needs, pool: pd.Series, texts: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """Return the tables of texts that the method reads; of training records those of the pool, in its order."""
    tables = {}
    for split in sorted(needs.texts):
        if split not in texts:
            raise GradsError(f"the texts of '{split}' are needed and not given: prepare the domain's data first")
        table = text_table(texts[split])
        if split == TRAIN:
            table = table[table["id"].isin(pool)].reset_index(drop=True)
            if table["id"].tolist() != pool.tolist():
                raise GradsError(
                    f"{texts[split]} has {len(table)} of the pool's {len(pool)} records: delete what is outdated, run "
                    "again"
                )
        tables[split] = table
    return tables


def _check_answers(method: Method, needs: Needs, pool: pd.Series, records: Path | None) -> None:
    """Refuse to compare losses with and without the question where they are means over different answers.

    `response_nll` is of all answers that carry loss, `unconditional_nll` of the last.
    """
    asked = any("unconditional" in held and store_point(name)[2] == TRAIN for name, held in needs.stores.items())
    if not asked or records is None:
        return
    several = {record.id for record in load_records(records) if any(turn.loss for turn in record.turns)}
    found = [id_ for id_ in pool if id_ in several]
    if found:
        raise GradsError(
            f"method '{method.name}' compares the loss of an answer with and without its question, and {len(found)} of "
            f"{len(pool)} records have earlier answers that carry loss too (first: {found[0]}): set the domain's "
            "loss_turns to last and give no earlier turn a weight, or choose another method"
        )


def _by_id(ids: pd.Series) -> list[int]:
    names = ids.tolist()
    return sorted(range(len(names)), key=names.__getitem__)


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
    if count and not len(chosen):
        notes = ", ".join(f"{key}: {value}" for key, value in choice.notes.items())
        raise GradsError(
            f"method '{method.name}' keeps none of {len(ids)} records ({notes}): change its parameters, or choose "
            "another method"
        )
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
