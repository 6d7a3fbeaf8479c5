"""`grads.train`: fine-tuning on what was selected, or on all records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from grads.api.arguments import in_python
from grads.api.checks import check_folder, check_strategy
from grads.api.select import Selection
from grads.api.settings import Settings, bench_of
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    from grads.api.given import Model, Records
    from grads.api.workbench import Workbench
    from grads.selection.job import Select


@dataclass(frozen=True)
class Trained:
    """A model that was fine-tuned.

    Attributes:
        folder: the adapter, as PEFT reads it, or all weights, as transformers does.
        training: counts, seconds and the training curve.
        bench: the model, the records and the settings that it was trained with.
    """

    folder: Path
    training: Mapping[str, Any] = field(repr=False)
    bench: "Workbench" = field(repr=False)


@in_python
def train(
    model: "Model",
    records: "Records",
    picked: Selection | None = None,
    *,
    strategy: str = "sft",
    strategy_parameters: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    **settings: Unpack[Settings],
) -> Trained:
    """Fine-tune a model on selected records, as every arm of a study and `grads train` do.

    Args:
        model: as for `probe`.
        records: those that the selection was made of, or all to train on.
        picked: what `select` returned; all records if not given.
        strategy: as `grads list strategies` shows.
        strategy_parameters: those that differ from its defaults.
        out: folder to write the adapter (or all weights) to; in the work folder if not given, where a run with the same
            settings is found again.
        settings: see `Settings`; what shapes the training is `training`.

    Returns:
        Where the trained model is, for `evaluate`.

    Raises:
        GradsError: model, records or a setting cannot be used, or `picked` is a selection of other records.
    """
    from grads.runtime.files import read_object

    parameters = strategy_parameters or {}
    stores = check_strategy(strategy, parameters, selected=picked is not None)
    if picked is not None and picked.bench is not None:
        settings.setdefault("work", picked.bench.work)
    bench = bench_of(model, records, settings)
    selection = None if picked is None else _selection_of(bench, picked)
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_folder(folder.parent, f"--out {out}")
    job = bench.make(bench.graph.train(strategy, parameters, stores, selection, folder))
    return Trained(job.trained, read_object(job.summary), bench)


def _selection_of(bench: "Workbench", picked: Selection) -> "Select":
    """Return the job of a selection, which must be of these records and in this work folder."""
    if picked.job is None or picked.bench is None:
        raise GradsError("picked: it was chosen from arrays: train on the chosen records themselves, without it")
    if picked.bench.work.resolve() != bench.work.resolve():
        raise GradsError(f"picked: it is in the work folder {picked.bench.work}: give that as work=")
    if picked.job.records != bench.graph.read_records().records:
        raise GradsError("picked: it is a selection of other records, or they were read otherwise: give those")
    return picked.job
