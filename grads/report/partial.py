"""Tables and figures over what a study has so far: stamped, what is missing listed, no mean over an incomplete set."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grads.config.study import Study
from grads.report.files import AnswerFiles, CellFiles, answer_files, missing_files
from grads.report.measurements import collect, write_measurements
from grads.report.pages import make_pages
from grads.report.run import make_curves, write_figures, write_tables
from grads.report.statistics.estimates import Estimates
from grads.runtime.errors import GradsError
from grads.runtime.files import write_text
from grads.runtime.progress import say
from grads.study.grid import Cell, cells

SHOWN = 20
"""Missing cells that are named on the screen; missing.csv names all."""


def make_partial(study: Study, files: Sequence[CellFiles], out: Path) -> list[Path]:
    """Write `tables/`, `figures/`, `pages/`, `measurements.parquet` and `missing.csv` to `out`; return these.

    The measurements hold every finished cell. The tables show an arm at a ratio only where all of its seeds are there,
    for a mean over other seeds would not compare; a dash stands for the rest, and figures leave it
    out. Cells are taken as they lie on disk: that one is out of date is what Snakemake notices, not this.

    Raises:
        GradsError: no cell is finished yet, no arm has all its seeds yet (`measurements.parquet` and `missing.csv` are
            written all the same), or a file of a finished cell cannot be used.
    """
    done = [one for one in files if not missing_files(one)]
    if not done:
        raise GradsError(f"no cell of study '{study.study}' is finished yet: `grads status` says how far they are")
    frame = collect(study, done, partial=True)
    write_measurements(frame, out / "measurements.parquet")
    missing = {one.cell: paths for one in files if (paths := missing_files(one))}
    write_text(out / "missing.csv", _missing_list(missing))
    complete = _complete_runs(frame, missing)
    if complete.empty:
        raise GradsError(
            f"no arm of study '{study.study}' has all its seeds yet, so there is no mean to show: "
            f"{out / 'missing.csv'} names what is missing; run on, and make the partial tables then"
        )
    estimates = Estimates(complete, partial=True)
    label = f"PARTIAL: {len(done)} of {len(cells(study))} cells. {study.label}"
    stamped = study.model_copy(update={"label": label})
    write_tables(stamped, estimates, out / "tables")
    write_figures(stamped, estimates, out / "figures")
    shown = [one for one in done if _run(one.cell) not in map(_run, missing)]
    make_curves(stamped, shown, out / "figures")
    make_pages(stamped, estimates, _known_answers(study, [one.cell for one in shown]), out / "pages", None)
    _report(study, missing, len(done))
    return [out / name for name in ("measurements.parquet", "missing.csv", "tables", "figures", "pages")]


def _known_answers(study: Study, shown: Sequence[Cell]) -> dict[str, AnswerFiles]:
    """Return the answers of these cells, by domain; a domain without any, or whose files are gone, has no page."""
    found = {domain: answer_files(study, domain).of_cells(shown) for domain in study.domains}
    return {
        domain: files
        for domain, files in found.items()
        if files.predictions and all(path.is_file() for path in files.paths)
    }


def _complete_runs(frame: pd.DataFrame, missing: dict[Cell, list[Path]]) -> pd.DataFrame:
    """Return the rows whose arm and ratio have all seeds on their model and domain."""
    holes = set(map(_run, missing))
    keys = zip(frame["model"], frame["domain"], frame["arm"], frame["ratio"], strict=True)
    return frame[[key not in holes for key in keys]]


def _run(cell: Cell) -> tuple[str, str, str, str]:
    return (cell.model, cell.domain, cell.arm, cell.ratio)


def _missing_list(missing: dict[Cell, list[Path]]) -> str:
    lines = [f"{cell.model},{cell.domain},{cell.arm},{cell.ratio},{cell.seed},{missing[cell][0]}" for cell in missing]
    return "\n".join(["model,domain,arm,ratio,seed,file", *lines]) + "\n"


def _report(study: Study, missing: dict[Cell, list[Path]], done: int) -> None:
    say(f"partial tables of '{study.study}': {done} cells are there, {len(missing)} are missing")
    for cell in list(missing)[:SHOWN]:
        say(f"missing: {cell} ({missing[cell][0]})")
    if len(missing) > SHOWN:
        say(f"missing: {len(missing) - SHOWN} more, all in missing.csv")
