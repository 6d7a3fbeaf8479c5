"""The job that selects records."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grads.runtime.runner import Machine
from grads.selection.registry import module_of
from grads.study.job import Given, Job, Made, Read


class Select(Job):
    """Selects records by a method, from stored signals.

    Attributes:
        method: name of the method.
        parameters: those that differ from its defaults.
        ratio: keep ratio.
        seed: for its draws.
        stores: signal stores by name: `tokens`, and those that the method needs.
        scorer: the store `tokens` of the model that scored, where that is another than the one that is trained.
        texts: records by split, where the method reads texts.
        references: selections that the method reads, by arm.
        records: training records.
        files: the user's own files that the method reads.
        selection: Parquet file of what was chosen.
        summary: JSON file of how.
    """

    rule = "select"
    modules = ("grads.selection.run", "grads.signals.store")

    method: str
    parameters: dict[str, Any]
    ratio: str
    seed: int
    stores: Read[dict[str, Path]]
    scorer: Read[Path | None] = None
    texts: Read[dict[str, Path]] = {}
    references: Read[dict[str, Path]] = {}
    records: Read[Path]
    files: Given[list[Path]] = []
    selection: Made[Path]
    summary: Made[Path]

    @property
    def more_modules(self) -> Iterable[str]:
        """The method's."""
        return [module_of(self.method)]

    def run(self, machine: Machine) -> None:
        """Select them."""
        from grads.selection.run import select_records
        from grads.signals.store import read_store

        select_records(
            self.method,
            self.parameters,
            self.ratio,
            self.seed,
            {name: read_store(path) for name, path in self.stores.items()},
            self.references,
            self.selection,
            self.texts,
            read_store(self.scorer) if self.scorer else None,
            self.records,
        )
