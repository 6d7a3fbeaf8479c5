"""What methods chose of the training records of one model and domain, and what is known of those records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from grads.config.study import Study
from grads.data.frames import frame_columns, read_frame
from grads.data.selections import read_selection
from grads.report.files import SelectionFiles
from grads.report.statistics.estimates import Run, runs
from grads.runtime.errors import GradsError
from grads.study.paths import BASE, DURING, WARM, store_folder

SIGNALS = "signals.parquet"
NLL = "response_nll"
LOSSES_FROM = (BASE, WARM, DURING)
"""Signal stores that may hold the loss of a response, the one that is preferred first."""


@dataclass(frozen=True)
class Selected:
    """What was chosen of N records ordered by id.

    Attributes:
        score: N numbers, NaN where the record was not eligible.
        rank: N numbers from 1, NaN where the record was not eligible.
        kept: N booleans.
    """

    score: np.ndarray
    rank: np.ndarray
    kept: np.ndarray

    @property
    def eligible(self) -> np.ndarray:
        """N booleans."""
        return ~np.isnan(self.rank)

    @property
    def ranks(self) -> bool:
        """Whether the scores tell records apart."""
        score = self.score[self.eligible]
        return bool((score != score[0]).any())


class Pool:
    """The N eligible training records of one model and domain, ordered by id; files are read when asked for.

    Args:
        study: the study.
        files: the selections that are there, of this model and domain.

    Attributes:
        model: its key in the study.
        domain: its key in the study.
        records: Parquet of the texts.
    """

    def __init__(self, study: Study, files: Sequence[SelectionFiles]) -> None:
        self.model = files[0].cell.model
        self.domain = files[0].cell.domain
        self._study = study
        self.records = files[0].records
        self._tokens = files[0].tokens
        self._files = {(Run(one.cell.arm, one.cell.ratio), one.cell.seed): one for one in files}
        self._selected: dict[Run, list[Selected]] = {}

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """N rows, whose index is the id: prompt_tokens, response_tokens, truncated."""
        return read_frame(self._tokens / SIGNALS).set_index("id").sort_index()

    @cached_property
    def runs(self) -> list[Run]:
        """The runs that choose, in the order of the config: not those that keep all that they might choose from.

        A run whose selections are not all there may choose, unless its ratio says that it does not.
        """
        found = []
        for run in runs(self._study):
            chosen = self.selected(run)
            if run.ratio not in ("0", "1") and not (chosen and all(one.kept[one.eligible].all() for one in chosen)):
                found.append(run)
        return found

    def file(self, run: Run, seed: int) -> SelectionFiles:
        """Return the files of a selection that is there."""
        return self._files[run, seed]

    def selected(self, run: Run) -> list[Selected]:
        """Return what a run chose, an entry a seed; empty where a seed's selection is missing.

        Raises:
            GradsError: a selection is not of this pool's records.
        """
        if run not in self._selected:
            keys = [(run, seed) for seed in self._study.seeds]
            there = all(key in self._files for key in keys)
            self._selected[run] = [self._read(self._files[key].selection) for key in keys] if there else []
        return self._selected[run]

    def _read(self, path: Path) -> Selected:
        table = read_selection(path)[["id", "score", "rank", "kept"]].set_index("id")
        if not table.index.isin(self.tokens.index).all():
            raise GradsError(f"{path} has records that are not in the pool: delete it and run again")
        table = table.reindex(self.tokens.index)
        kept = table["kept"].eq(True).to_numpy()
        return Selected(table["score"].to_numpy(dtype=float), table["rank"].to_numpy(dtype=float), kept)

    def losses(self, seed: int) -> tuple[str, np.ndarray] | None:
        """Return N response losses and the point at which they were measured; None where no store there holds them.

        They are those of the pool's own model, NaN for records that the probe left out.
        """
        for store in LOSSES_FROM:
            shared = store_folder(store, seed) == store
            folders = [
                one.stores[store]
                for (_, other), one in self._files.items()
                if one.own and store in one.stores and (shared or other == seed)
            ]
            for folder in dict.fromkeys(folders):
                if NLL in frame_columns(folder / SIGNALS):
                    return store, self.signals(folder, [NLL])[NLL].to_numpy(dtype=float)
        return None

    def signals(self, folder: Path, columns: Sequence[str]) -> pd.DataFrame:
        """Return columns of a signal store, a row for each of the N records; NaN for records that it does not have."""
        table = read_frame(folder / SIGNALS, ["id", *columns])
        return table.set_index("id").reindex(self.tokens.index)


def pools(study: Study, files: Sequence[SelectionFiles]) -> Iterator[Pool]:
    """Yield the pool of each model and domain that has a selection, in the order of the config.

    Args:
        study: the study.
        files: the selections that are there, in the order of the grid.
    """
    for _, mine in groupby(files, key=lambda one: (one.cell.model, one.cell.domain)):
        yield Pool(study, list(mine))
