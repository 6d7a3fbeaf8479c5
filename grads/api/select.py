"""`grads.select`: which records a method keeps, of measured signals or of plain arrays."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from grads.api.arguments import in_python
from grads.api.checks import check_method, ratio_of
from grads.api.given import records_path
from grads.api.opening import checked_others
from grads.api.probe import Signals
from grads.config.ratios import AUTO, ratio_of_count
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    import pandas as pd

    from grads.api.export import Origin
    from grads.api.given import Records
    from grads.api.workbench import Workbench
    from grads.selection.arrays import Arrays
    from grads.selection.contract import Method
    from grads.selection.job import Select

Ratio = float | str


@dataclass(frozen=True)
class Selection:
    """What a method chose.

    Attributes:
        method: its name.
        ratio: the share of the eligible records that was asked for, as a decimal, or `auto`.
        table: a row for each eligible record, by rank: `id`, `score` (the higher the better), `rank` (1 is chosen
            first), `kept`, `weight`; `own_id` where the data have ids.
        notes: what the method says of its choice.
        parameters: of the method, those that differ from its defaults.
        seed: of its draws, as it was given.
        signals: what it was chosen by, a row for each record by id: all columns, each with its point in front.
        job: the job that wrote it; none where it was chosen from arrays.
        bench: what it was chosen with; none where it was chosen from arrays.
    """

    method: str
    ratio: str
    table: "pd.DataFrame"
    notes: Mapping[str, Any]
    parameters: Mapping[str, Any]
    seed: int
    signals: "pd.DataFrame" = field(repr=False)
    job: "Select | None" = field(default=None, repr=False)
    bench: "Workbench | None" = field(default=None, repr=False)

    def __len__(self) -> int:
        """Return how many records are kept."""
        return int(self.table["kept"].sum())

    @property
    def ids(self) -> list[str]:
        """Ids of the kept records, first chosen first; of arrays without ids their positions, as texts."""
        return self.table.loc[self.table["kept"], "id"].tolist()

    @cached_property
    def scores(self) -> "pd.Series":
        """The score of every eligible record by id, best first; the higher the better."""
        return self.table.set_index("id")["score"].sort_values(ascending=False, kind="stable")

    @cached_property
    def kept(self) -> "pd.Series":
        """Whether a record is kept, by id."""
        return self.table.set_index("id")["kept"]

    @cached_property
    def weights(self) -> "pd.Series":
        """How much each kept record counts in training, 1 on average, by id."""
        return self.table[self.table["kept"]].set_index("id")["weight"]

    @property
    def origin(self) -> "Origin":
        """How it came about, as an export's card says it: files by their names, without their folders."""
        from grads.api.export import Origin

        model = source = "plain arrays"
        if self.bench is not None:
            origin = self.bench.graph.origin
            model = f"{origin['id']}@{origin['commit']}" if "commit" in origin else Path(str(origin["path"])).name
            source = Path(self.bench.request.data).name
        return Origin(self.method, dict(self.parameters), self.ratio, model, source, self.seed)

    def rows(self) -> list[dict[str, Any]]:
        """Return the kept records as they were given, all of their fields, in the order of the data.

        Raises:
            GradsError: they were chosen from arrays, which have no fields.
        """
        if self.bench is None:
            raise GradsError("the selection is of arrays, which have no fields: take its ids")
        from grads.data.records.layouts import rows_by_id

        request = self.bench.request
        rows = rows_by_id(request.data, request.fields, request.metadata, request.leave)
        chosen = sorted((rows[id_] for id_ in self.ids), key=lambda numbered: numbered[0])
        return [row for _number, row in chosen]

    def save(self, folder: str | Path, *, license: str = "unknown") -> Path:
        """Write the selection as a folder that `datasets.load_dataset` reads, and return it.

        Its configuration `subset` holds the kept records with all their fields, `scores` a row for each eligible
        record; of arrays, which have no fields, there are the scores alone. The card, README.md, says method, ratio,
        model, source and seed.

        Args:
            folder: where to; what `save` or `grads select` wrote there before is written over, and nothing else.
            license: of the records, as the Hugging Face hub names it.

        Raises:
            GradsError: the folder holds a file of such a name that is another's, or a field of the records cannot be a
                column of Parquet.
        """
        from grads.api.export import check_free, data_rows, write_export
        from grads.runtime.manifest import write_manifests

        started = time.time()
        folder = Path(folder)
        check_free(folder)
        rows = None
        if self.bench is not None:
            request = self.bench.request
            rows = data_rows(request.data, request.fields, request.metadata, request.leave)
        files = write_export(folder, self.table, rows, self.origin, license)
        read = [] if self.job is None else [self.job.selection]
        write_manifests(files, read, {"command": "select", "license": license, **asdict(self.origin)}, started)
        return folder

    def explain(self, id: str) -> dict[str, Any]:
        """Return what is known of a record: whether it is kept and why, its rank and score, and its signals.

        Args:
            id: its id, or the one that the data give it.

        Raises:
            GradsError: there is no such record.
        """
        table = self.table
        found = table[table["id"] == id]
        if found.empty and "own_id" in table.columns:
            found = table[table["own_id"] == id]
        if found.empty:
            return self._not_eligible(id)
        row = found.iloc[0]
        known = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
        better = int((table["score"] > row["score"]).sum())
        standing = "kept" if row["kept"] else "not kept"
        reason = f"{standing}: rank {row['rank']} of {len(table)}, {len(self)} are kept; {better} have a higher score"
        measured = self.signals.loc[row["id"]].to_dict() if row["id"] in self.signals.index else {}
        return {**known, "reason": reason, "signals": measured}

    def _not_eligible(self, id_: str) -> dict[str, Any]:
        from grads.data.records.record import load_records

        for record in load_records(self.bench.records) if self.bench else ():
            if id_ in (record.id, record.own_id):
                reason = "not eligible: longer than training's max_length, or without finite signals"
                return {"id": record.id, "kept": False, "reason": reason, "signals": {}}
        raise GradsError(f"id: there is no record '{id_}': `scores.index` has those that are eligible")

    def __repr__(self) -> str:
        return f"Selection({self.method} at {self.ratio}: {len(self)} of {len(self.table)} eligible records)"


@overload
def select(
    signals: "Signals | Arrays",
    method: str = "grads",
    *,
    ratio: Ratio | None = None,
    count: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    validation: "Records | Arrays | None" = None,
    anchor: "Records | Arrays | None" = None,
    seed: int | None = None,
) -> Selection:
    """Return one selection."""


@overload
def select(
    signals: "Signals | Arrays",
    method: str = "grads",
    *,
    ratio: list[Ratio] | tuple[Ratio, ...],
    parameters: Mapping[str, Any] | None = None,
    validation: "Records | Arrays | None" = None,
    anchor: "Records | Arrays | None" = None,
    seed: int | None = None,
) -> dict[Ratio, Selection]:
    """Return a selection for each ratio."""


@overload
def select(
    signals: "Signals | Arrays",
    method: str = "grads",
    *,
    count: list[int] | tuple[int, ...],
    parameters: Mapping[str, Any] | None = None,
    validation: "Records | Arrays | None" = None,
    anchor: "Records | Arrays | None" = None,
    seed: int | None = None,
) -> dict[int, Selection]:
    """Return a selection for each count."""


@in_python
def select(
    signals: "Signals | Arrays",
    method: str = "grads",
    *,
    ratio: Ratio | Sequence[Ratio] | None = None,
    count: int | Sequence[int] | None = None,
    parameters: Mapping[str, Any] | None = None,
    validation: "Records | Arrays | None" = None,
    anchor: "Records | Arrays | None" = None,
    seed: int | None = None,
) -> Selection | dict[Any, Selection]:
    """Choose the records to fine-tune on, as `grads select` does.

    What the method needs and `signals` has not is measured now. In place of signals there may be plain arrays: a data
    frame of columns, or by name N numbers or texts (`{"response_nll": losses}`) and N x d vectors (`{"hidden": X}`),
    called as in signal stores. `id` names the records. What is measured at several points has a mapping for each:
    `{"base": {"response_nll": before}, "warm": {"response_nll": after}}`.

    Args:
        signals: what `probe` returned, or arrays.
        method: as `grads list methods` shows; `grads.methods()` has what each declares.
        ratio: share of the eligible records to keep, such as 0.05, or `auto`; several for one selection each.
        count: how many to keep, in place of a ratio; several for one selection each.
        parameters: of the method, those that differ from its defaults.
        validation: records of the target task, or their arrays, for methods that read some (LESS, RDS+, G2IS, DSIR).
        anchor: general instructions, or their arrays, for OGS.
        seed: for methods that draw, from arrays; signals have theirs.

    Returns:
        The selection; of several ratios or counts a dict of them.

    Raises:
        GradsError: there is no such method, or something that it reads is missing, by name.
    """
    if (ratio is None) == (count is None):
        raise GradsError("ratio: give it or count: what share, or how many records to keep")
    several = isinstance(ratio if count is None else count, Sequence) and not isinstance(ratio, str)
    asked: Any = (ratio if count is None else count) if several else [ratio if count is None else count]
    given = {"validation": validation, "anchor": anchor}
    others = {name: records for name, records in given.items() if records is not None}
    amounts = [Amount(count=amount) if ratio is None else Amount(ratio=ratio_of(amount)) for amount in asked]
    if isinstance(signals, Signals):
        if seed is not None:
            raise GradsError("seed: the signals have theirs, given to grads.probe: remove it")
        found = _from_signals(signals, method, parameters or {}, amounts, others)
    else:
        found = [_from_arrays(signals, method, parameters or {}, amount, others, seed or 0) for amount in amounts]
    return dict(zip(asked, found, strict=True)) if several else found[0]


@in_python
def methods() -> dict[str, "Method"]:
    """Return all selection methods by name, those of other packages included, as `grads list methods` shows them.

    Returns:
        Of each its `title`, `source`, `parameters` (a Pydantic model), and `needs(parameters)`, the signals it reads.

    Raises:
        GradsError: a file that declares one cannot be imported.
    """
    from grads.selection.registry import methods as registered

    return registered()


@dataclass(frozen=True)
class Amount:
    """How much is kept: a ratio or a count.

    Raises:
        GradsError: the count is not above 0.
    """

    ratio: str = AUTO
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and (not isinstance(self.count, int) or self.count < 1):
            raise GradsError(f"--count {self.count}: give a whole number above 0")

    def __str__(self) -> str:
        return self.ratio if self.count is None else str(self.count)

    @property
    def checked(self) -> str:
        """The ratio that a method is checked with before any work."""
        return self.ratio if self.count is None else "1"


def check_count(amount: Amount, eligible: int) -> None:
    """Refuse a count of more records than there are."""
    if amount.count is not None and amount.count > eligible:
        raise GradsError(f"--count {amount.count}: {eligible} records are eligible: ask for at most so many")


def make_selection(bench: "Workbench", method: str, parameters: Mapping[str, Any], amount: Amount) -> "Select":
    """Return the job of a selection when it is made.

    Raises:
        GradsError: fewer records are eligible than a count asks for, or something on the way cannot be made.
    """
    if amount.count is None:
        return bench.make(bench.graph.select(method, parameters, amount.ratio))
    from grads.data.selections import read_counts

    # A probe may leave out records, which is known after it has been.
    eligible = bench.eligible
    while True:
        check_count(amount, eligible)
        job = bench.make(bench.graph.select(method, parameters, ratio_of_count(amount.count, eligible)))
        counted = read_counts(job.selection)
        if counted["eligible"] == eligible:
            return job
        eligible = int(counted["eligible"])


def _from_signals(
    signals: Signals, method: str, parameters: Mapping[str, Any], amounts: list[Amount], others: Mapping[str, "Records"]
) -> list[Selection]:
    bench = signals.bench
    request = bench.request
    files = {name: records_path(records, bench.work, name) for name, records in others.items()}
    for amount in amounts:
        check_method(method, parameters, amount.checked, request.encoders, {*request.others, *files})
    bench = bench.with_others(checked_others(files, request.fields, request.leave))
    return [read_made(bench, make_selection(bench, method, parameters, amount)) for amount in amounts]


def read_made(bench: "Workbench", job: "Select") -> Selection:
    """Return a selection that is made."""
    from grads.data.selections import read_counts, read_selection

    meta = read_counts(job.selection)
    return Selection(
        method=job.method,
        ratio=job.ratio,
        table=read_selection(job.selection),
        notes=meta["notes"],
        parameters=job.parameters,
        seed=bench.request.seed,
        signals=signals_of(bench, job),
        job=job,
        bench=bench,
    )


def signals_of(bench: "Workbench", job: "Select") -> "pd.DataFrame":
    """Return what a selection read of each training record: token counts, and the columns of its stores by point."""
    from grads.signals.names import FIRST
    from grads.signals.store import read_signals
    from grads.study.paths import TOKENS, TRAIN, store_point

    table = read_signals(job.stores[TOKENS]).set_index("id")
    for name, folder in job.stores.items():
        if name != TOKENS and store_point(name)[2] == TRAIN:
            measured = read_signals(folder).set_index("id")
            kept = [column for column in measured.columns if column not in FIRST]
            table = table.join(measured[kept].add_prefix(f"{name}."))
    return table


def _from_arrays(
    arrays: "Arrays",
    method: str,
    parameters: Mapping[str, Any],
    amount: Amount,
    others: Mapping[str, Any],
    seed: int,
) -> Selection:
    import pandas as pd

    from grads.selection.arrays import select_from_arrays

    if not isinstance(arrays, Mapping | pd.DataFrame):
        kind = type(arrays).__name__
        raise GradsError(f"signals: they are a {kind}: give what grads.probe returned, a data frame or arrays by name")
    for name, of in others.items():
        if isinstance(of, str | Path) or not isinstance(of, Mapping | pd.DataFrame):
            raise GradsError(f"{name}: the signals are arrays: give arrays of these records, too")
    chosen = select_from_arrays(arrays, method, parameters, amount.ratio, amount.count, seed, others)
    columns = {name: array for name in arrays if (array := _column(arrays[name])) is not None}
    signals = pd.DataFrame(columns)
    if "id" in columns:
        signals = signals.set_index(signals["id"].astype(str))
    table = chosen.table
    if "id" not in columns:
        # Without ids of their own they are known by their positions.
        table = table.assign(id=[str(int(id_)) for id_ in table["id"]])
        signals.index = signals.index.astype(str)
    return Selection(method, str(amount), table, chosen.notes, dict(parameters), seed, signals)


def _column(given: Any) -> Any:
    import numpy as np

    if isinstance(given, Mapping):
        return None
    array = np.asarray(given)
    return array if array.ndim == 1 else None
