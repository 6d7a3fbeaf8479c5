"""`grads explain`: what became of one record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grads.cli.study import Config
from grads.runtime.errors import GradsError, printable

if TYPE_CHECKING:
    from grads.config.study import Study

SHOWN = 200
"""Characters of each text that are shown."""


def explain(
    config: Config,
    id: Annotated[
        str, typer.Option("--id", help="The record's id, or the first digits of it; or the id that your data give it.")
    ],
) -> None:
    """Show a record: where it is, its signals, and its rank in every arm.

    \b
    Example:
      grads explain mine.yaml --id 0f3a
      grads explain mine.yaml --id my-record-17
    """
    from grads.study.reading import read_study

    study = read_study(config)
    domain, split, row = find_record(study, id)
    typer.echo(f"{row['id']}  {study.domains[domain].title} ({domain}), {split}")
    for key in ("own_id", "instruction", "input", "output", "source"):
        if row.get(key):
            text = " ".join(str(row[key]).split())
            typer.echo(f"  {key:12} {printable(text[:SHOWN])}{' ...' if len(text) > SHOWN else ''}")
    if split != "train":
        typer.echo(f"No method sees it: it is in the {split} split.")
        return
    for model in study.every_model:
        _show_signals(study, model, domain, row["id"])
    for model in study.models:
        _show_selections(study, model, domain, row["id"])


def find_record(study: "Study", id_: str) -> tuple[str, str, dict[str, Any]]:
    """Return the domain, split and columns of the record whose id begins so, or that the data call so.

    Raises:
        GradsError: the data are not prepared, or no record or more than one has such an id.
    """
    from grads.data.frames import read_frame
    from grads.study.paths import Paths

    exact: list[tuple[str, str, dict[str, Any]]] = []
    found: list[tuple[str, str, dict[str, Any]]] = []
    for domain in study.domains:
        for split in ("train", "validation", "test"):
            path = Paths(study.study).records(domain, split)
            if not path.is_file():
                raise GradsError(f"{path} is not there: run the study first, its data at least")
            frame = read_frame(path, needed=["id", "own_id"])
            for row in frame[frame["id"].str.startswith(id_) | (frame["own_id"] == id_)].to_dict("records"):
                is_whole = id_ != "" and id_ in (row["id"], row["own_id"])
                (exact if is_whole else found).append((domain, split, row))
    # A short name of the data's own begins many ids.
    found = exact or found
    if not found:
        raise GradsError(f"--id {id_}: no record of study '{study.study}' has it: look into results/{study.study}/data")
    if len(found) > 1:
        known = " and ".join(dict.fromkeys(row["id"] for _domain, _split, row in found[:2]))
        raise GradsError(
            f"--id {id_}: {len(found)} records begin so or are called so, such as {known}: give one of these"
        )
    return found[0]


def _show_signals(study: "Study", model: str, domain: str, id_: str) -> None:
    from grads.data.frames import read_frame
    from grads.study.paths import OTHERS, Paths

    for store in sorted(Paths(study.study).store(model, domain, "tokens").parent.glob("*/signals.parquet")):
        if store.parent.name.endswith(OTHERS):
            continue
        frame = read_frame(store, needed=["id"])
        rows = frame[frame["id"] == id_].drop(columns="id").to_dict("records")
        point = f"{model} {store.parent.name}"
        if not rows:
            typer.echo(f"{point}: {_why_missing(store.parent, id_)}")
            continue
        names = {key: value for key, value in rows[0].items() if store.parent.name == "tokens" or key not in LENGTHS}
        if names:
            typer.echo(f"{point}: " + ", ".join(f"{key} {_shown(value)}" for key, value in names.items()))


def _why_missing(store: Path, id_: str) -> str:
    from grads.runtime.files import read_object
    from grads.signals.store import META

    if (store / META).is_file() and id_ in read_object(store / META).get("left_out", ()):
        return "left out: one of its signals is no finite number"
    return "not eligible (too long, or its prompt fills the limit)"


LENGTHS = ("prompt_tokens", "response_tokens", "truncated")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _show_selections(study: "Study", model: str, domain: str, id_: str) -> None:
    from grads.data.selections import read_selection
    from grads.study.grid import cells
    from grads.study.paths import Paths

    for cell in cells(study):
        path: Path = Paths(study.study).selection(cell)
        if (cell.model, cell.domain) != (model, domain) or not cell.trained:
            continue
        name = f"{model} {cell.arm}@{cell.ratio} seed {cell.seed}"
        if not path.is_file():
            typer.echo(f"{name}: not selected yet")
            continue
        frame = read_selection(path)
        for row in frame[frame["id"] == id_].to_dict("records"):
            kept = "kept" if row["kept"] else "not kept"
            typer.echo(f"{name}: {kept}, rank {row['rank']} of {len(frame)}, score {_shown(row['score'])}")
