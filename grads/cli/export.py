"""`grads export`: what a cell of a study was trained on, as a folder for the datasets library."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grads.cli.outputs import Force, check_export
from grads.cli.study import Config, chosen_cells
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

if TYPE_CHECKING:
    from grads.config.sources import Source


def export(
    config: Config,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    arm: Annotated[str | None, typer.Option(help="Arm of the cell.")] = None,
    domain: Annotated[str | None, typer.Option(help="Its domain, of several.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model, of several.")] = None,
    ratio: Annotated[str | None, typer.Option(help="Its keep ratio, of several.")] = None,
    seed: Annotated[str | None, typer.Option(help="Its seed, of several.")] = None,
    license: Annotated[
        str, typer.Option(help="Licence of the records for the card, as the Hugging Face hub names it.")
    ] = "unknown",
    force: Force = False,
) -> None:
    """Write what a cell of a study selected as a folder that datasets.load_dataset reads.

    It holds the chosen records (`subset`), every score (`scores`) and a card with method, ratio, model, source and
    seed.

    \b
    Example:
      grads export mine.yaml --arm grads --ratio 0.05 --seed 0 --out subset
    """
    from grads.study.paths import Paths
    from grads.study.reading import read_study

    started = time.time()
    study = read_study(config)
    asked = {"arm": arm, "domain": domain, "model": model, "ratio": ratio, "seed": seed}
    found = chosen_cells(study, {name: [value] if value else None for name, value in asked.items()})
    trained = [cell for cell in found if cell.trained]
    for name in asked:
        if len(values := dict.fromkeys(str(getattr(cell, name)) for cell in trained)) > 1:
            raise GradsError(f"--{name}: {len(trained)} cells fit ({', '.join(values)}): give one")
    if not trained:
        raise GradsError(f"--arm {found[0].arm}: it selects nothing: give another arm")
    (cell,) = trained
    paths = Paths(study.study)
    selection = paths.selection(cell)
    records = paths.records(cell.domain, "train")
    for path in (selection, records):
        if not path.is_file():
            raise GradsError(
                f"{path} is not there: run the study first, as far as `grads run {config} --arm {cell.arm}`"
            )
    check_export(out, "export", [config, selection, records], force)
    from dataclasses import asdict

    from grads.api.export import Origin, record_rows, write_export
    from grads.data.records.record import load_records
    from grads.data.selections import read_selection
    from grads.runtime.manifest import write_manifests

    declared = study.arms[cell.arm]
    scorer = study.every_model[declared.scorer or cell.model]
    domain_of = study.domains[cell.domain]
    origin = Origin(
        method=declared.method,
        parameters=declared.parameters,
        ratio=cell.ratio,
        model=_called(scorer.title, scorer.source),
        source=_called(domain_of.title, domain_of.source),
        seed=cell.seed,
    )
    files = write_export(
        out, read_selection(selection), record_rows(load_records(records), str(records)), origin, license
    )
    settings = {"command": "export", "study": study.study, "cell": str(cell), "license": license, **asdict(origin)}
    write_manifests(files, [selection, records], settings, started)
    say(f"exported: {out}, which datasets.load_dataset reads")


def _called(title: str, source: "Source") -> str:
    """Return a title with where it comes from; of the user's own files their names alone."""
    shown = Path(source.shown).name if source.own_paths else source.shown
    return f"{title} ({shown})" if shown else title
