"""Which files the cells of a study leave, and where."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from grads.config.study import Study
from grads.study.grid import Cell, cells, cross_domains
from grads.study.paths import (
    TOKENS,
    WARM,
    Paths,
    documents_path,
    split_label,
    store_folder,
    store_point,
    warm_cell,
)

LEAST_BLOCKS = 8
"""From so many pairs of a model and a domain on, arms are ranked over them."""


@dataclass(frozen=True)
class CellFiles:
    """A finished cell and the files that it left.

    Attributes:
        cell: which cell.
        metrics: domain metrics.
        general: general benchmarks and drift; cells of the untuned model share one file.
        training: summary of the training; none for the untuned model.
        selection: what the method chose and what that took; none where nothing was selected.
        stores: for each signal store that the method needed (such as `warm`, `base`) its meta.json; those of another
            model that scored are called `<model>:<store>`.
        preliminary: summary of the preliminary epoch's training; needed with the store `warm`, or where the training
            goes on from there.
        cross: by other domain, the metrics on its test set; empty unless the study asks for them.
        scorers: summaries of the preliminary epochs of other models that scored, by model.
        judgements: folder of the judgements on all cells' answers; none where the study has none.
    """

    cell: Cell
    metrics: Path
    general: Path
    training: Path | None = None
    selection: Path | None = None
    stores: dict[str, Path] = field(default_factory=dict)
    preliminary: Path | None = None
    cross: dict[str, Path] = field(default_factory=dict)
    scorers: dict[str, Path] = field(default_factory=dict)
    judgements: Path | None = None


def cell_files(study: Study, points: Mapping[str, Iterable[str]]) -> list[CellFiles]:
    """Return the files of every cell, in the order of the grid.

    Args:
        study: the study.
        points: for each arm, the signal stores (such as `base` or `<scorer>:warm`) that its selection needs, those of
            other arms that it refers to included.
    """
    return [_files(study, cell, set(points[cell.arm])) for cell in cells(study)]


def _files(study: Study, cell: Cell, points: set[str]) -> CellFiles:
    paths = Paths(study.study)
    start = study.arms[cell.arm].start
    judgements = paths.judgements if study.evaluation.verdicts else None
    run = paths.run(cell)
    cross = {other: paths.cross(cell, other) for other in cross_domains(study, cell.domain)}
    if not cell.trained:
        return CellFiles(cell, run / "metrics.json", _general(paths, cell), cross=cross, judgements=judgements)
    # A scorer may be the cell's own model.
    stores = {(model or cell.model, store) for model, store in map(split_label, points)}
    warm = {model for model, store in stores if store_point(store)[0] == WARM}
    warm |= {cell.model} if start == WARM else set()
    epochs = {model: paths.run(warm_cell(model, cell.domain, cell.seed)) / "training.json" for model in sorted(warm)}
    folders = {
        store if model == cell.model else f"{model}:{store}": paths.store(
            model, cell.domain, store_folder(store, cell.seed)
        )
        for model, store in sorted(stores)
    }
    return CellFiles(
        cell,
        run / "metrics.json",
        _general(paths, cell),
        training=run / "training.json",
        selection=paths.selection(cell).with_suffix(".json"),
        stores={label: folder / "meta.json" for label, folder in folders.items()},
        preliminary=epochs.pop(cell.model, None),
        scorers=epochs,
        cross=cross,
        judgements=judgements,
    )


def missing_files(files: CellFiles) -> list[Path]:
    """Return which of a cell's files are not there; a finished cell lacks none, though it may not be judged yet."""
    return [path for path in (*_single(files), *files.stores.values()) if not path.is_file()]


def _single(files: CellFiles) -> list[Path]:
    """Return the files that are not in signal stores."""
    own = (files.metrics, files.general, files.training, files.selection, files.preliminary)
    return [path for path in (*own, *files.scorers.values(), *files.cross.values()) if path is not None]


def listed(files: CellFiles) -> list[Path]:
    """Return what a cell's files come from, as a list for a rule's input: signal stores are made as whole folders."""
    judged = [files.judgements] if files.judgements else []
    return [*_single(files), *(meta.parent for meta in files.stores.values()), *judged]


@dataclass(frozen=True)
class AnswerFiles:
    """What a domain's models were asked, and what they answered.

    Attributes:
        records: Parquet of the domain's records, by split.
        predictions: the answers, as JSON lines, of the first seed's cell for each model, arm and ratio.
        documents: what the same cells answered to the items of general benchmarks, as JSON lines.
        items: the items of each general benchmark, as JSON lines.
    """

    records: dict[str, Path]
    predictions: dict[Cell, Path]
    documents: dict[Cell, Path] = field(default_factory=dict)
    items: dict[str, Path] = field(default_factory=dict)

    @property
    def test(self) -> Path:
        """Parquet of the records that were asked."""
        return self.records["test"]

    @property
    def paths(self) -> list[Path]:
        """All of these files."""
        return [*self.records.values(), *self.predictions.values(), *self.documents.values(), *self.items.values()]

    def of_cells(self, known: Collection[Cell]) -> "AnswerFiles":
        """Return the same without the answers of other cells."""
        return replace(
            self,
            predictions={cell: path for cell, path in self.predictions.items() if cell in known},
            documents={cell: path for cell, path in self.documents.items() if cell in known},
        )


def answer_files(study: Study, domain: str) -> AnswerFiles:
    """Return the files of a domain's questions and answers, in the order of the config."""
    paths = Paths(study.study)
    records = {split: paths.records(domain, split) for split in ("train", "validation", "test")}
    mine = [cell for cell in cells(study) if cell.domain == domain]
    first = [cell for cell in mine if not cell.trained or cell.seed == study.seeds[0]]
    tasks = study.general.tasks
    return AnswerFiles(
        records,
        predictions={cell: paths.run(cell) / "predictions.jsonl" for cell in first},
        documents={cell: documents_path(_general(paths, cell)) for cell in first} if tasks else {},
        items={task: paths.general(f"{task}.jsonl") for task in tasks},
    )


def _general(paths: Paths, cell: Cell) -> Path:
    """Return the general results of a cell; those of the untuned model are the same for every domain."""
    return paths.run(cell) / "general.json" if cell.trained else paths.untuned_general(cell.model)


@dataclass(frozen=True)
class SelectionFiles:
    """A selection, and the files that say more of the records that it was made from.

    Attributes:
        cell: whose selection.
        selection: Parquet of what the method chose.
        records: Parquet of the domain's training records.
        tokens: folder of the signal store that has a row for every eligible record.
        stores: folders of the signal stores that the arm's method reads, by store.
        reads: of each of them, the columns that the method reads; none of those that it reads vectors of.
        own: whether the stores are of the cell's own model, not of another that scored.
    """

    cell: Cell
    selection: Path
    records: Path
    tokens: Path
    stores: Mapping[str, Path]
    reads: Mapping[str, Sequence[str]]
    own: bool = True

    @property
    def magnitudes(self) -> tuple[str, list[str]] | None:
        """The store and the columns whose sum is a record's gradient magnitude under the cell's own model: l2 norms,
        if the method reads any.
        """
        for store in sorted(self.reads) if self.own else ():
            if norms := [name for name in self.reads[store] if name.endswith("_l2")]:
                return store, norms
        return None

    @property
    def paths(self) -> list[Path]:
        """All of these files and folders."""
        return [self.selection, self.records, self.tokens, *self.stores.values()]


def selection_files(study: Study, reads: Mapping[str, Mapping[str, Sequence[str]]]) -> list[SelectionFiles]:
    """Return the files of every selection, in the order of the grid.

    Args:
        study: the study.
        reads: for each arm, the signal stores that its method itself reads, and the columns of each.
    """
    paths = Paths(study.study)
    return [
        SelectionFiles(
            cell,
            selection=paths.selection(cell),
            records=paths.records(cell.domain, "train"),
            tokens=paths.store(cell.model, cell.domain, TOKENS),
            stores={
                store: paths.store(
                    study.arms[cell.arm].scorer or cell.model, cell.domain, store_folder(store, cell.seed)
                )
                for store in reads[cell.arm]
            },
            reads=reads[cell.arm],
            own=study.arms[cell.arm].scorer in (None, cell.model),
        )
        for cell in cells(study)
        if cell.trained
    ]
