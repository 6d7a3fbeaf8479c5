"""What the commands on one's own files have in common: their options, and the workbench that these make."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from grads.api.checks import check_encoders, check_folder
from grads.cli.options import assignments, texts

if TYPE_CHECKING:
    from grads.api.workbench import Workbench

COLUMNS = "`instruction` and `output`, `prompt` and `completion`, `messages`, or `conversations`"
"""What records may have as columns: a test holds it to the layouts, which are not read for `--help`."""
Texts = list[str] | None


@dataclass(frozen=True)
class Own:
    """A model, data, and what shapes the work on them, as they were typed; a command shows those that it reads."""

    model: Annotated[
        str,
        typer.Option(
            help="A save_pretrained folder, a .gguf file, or `owner/name` of the hub; `owner/name@revision` fixes it.",
            metavar="PATH_OR_ID",
        ),
    ]
    data: Annotated[
        Path,
        typer.Option(
            help="Records: a .jsonl, .json, .csv, .parquet or .arrow file (or .gz, .bz2, .xz, .zst of it), or a folder "
            f"of shards or of `save_to_disk`; with {COLUMNS}."
        ),
    ]
    field: Annotated[
        Texts,
        typer.Option(help="Our name of a field and the data's own, where they differ; repeat.", metavar="OURS=YOURS"),
    ] = None
    leave: Annotated[
        Texts,
        typer.Option(
            help="A column, or a key or role of turns, that is knowingly left out, such as tool_calls; repeat.",
            metavar="NAME",
        ),
    ] = None
    loss_turns: Annotated[
        str, typer.Option(help="Of conversations: `last`, only the last answer carries loss, or `all`.")
    ] = "last"
    metadata: Annotated[
        Texts, typer.Option(help="A further field of the records, which the method reads; repeat.", metavar="FIELD")
    ] = None
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take the first so many records only, to try something out.")
    ] = None
    template: Annotated[
        str | None, typer.Option(help="`chat` or `plain`; the model's chat template where it has one, if not given.")
    ] = None
    training: Annotated[
        Texts, typer.Option(metavar="KEY=VALUE", help="Any key of the config's `training`; repeat for several.")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seeds every draw.")] = 0
    encoder: Annotated[
        Texts, typer.Option(help="A sentence encoder for `--parameter encoder=NAME`.", metavar="NAME=FOLDER")
    ] = None
    probe: Annotated[
        Texts,
        typer.Option(
            metavar="KEY=VALUE", help="Any key of the config's `probe`, such as features.size=8; repeat for several."
        ),
    ] = None
    dtype: Annotated[
        str | None,
        typer.Option(help="Type of the probed weights, `float32` or `bf16`; that of the training if not given."),
    ] = None
    token_budget: Annotated[
        int, typer.Option(min=1, help="Most tokens in one probe batch: lower it if memory runs out.")
    ] = 2048
    micro_batch: Annotated[
        int, typer.Option(min=1, help="Most records in one training pass: lower it if memory runs out.")
    ] = 8
    validation: Annotated[
        Path | None,
        typer.Option(help="Records of the target task, which LESS, RDS+, G2IS and DSIR read; none that you test on."),
    ] = None
    anchor: Annotated[Path | None, typer.Option(help="General instructions, which OGS reads.")] = None
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for what is made on the way and used again; grads-work next to the output."),
    ] = None


EVERYWHERE = ("model", "data", "field", "leave", "loss_turns", "limit", "template", "training", "work")


def on_own_files(*also: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make of a function whose first parameter is an `Own` a command with the options of it.

    Args:
        also: fields of `Own` that the command reads in addition to `EVERYWHERE`; it gets the defaults of the others.
    """

    def command_of(function: Callable[..., None]) -> Callable[..., None]:
        _given, *rest = inspect.signature(function).parameters.values()
        shared = [parameter for parameter in _parameters() if parameter.name in (*EVERYWHERE, *also)]

        @functools.wraps(function)
        def command(**typed: Any) -> None:
            given = Own(**{parameter.name: typed.pop(parameter.name) for parameter in shared})
            function(given, **typed)

        needed, optional = (
            [p.replace(kind=p.KEYWORD_ONLY) for p in both if (p.default is p.empty) == wanted]
            for both, wanted in (([*shared, *rest], True), ([*rest, *shared], False))
        )
        command.__signature__ = inspect.Signature([*needed, *optional])  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*needed, *optional)}
        return command

    return command_of


def _parameters() -> list[inspect.Parameter]:
    hints = get_type_hints(Own, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    defaults = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(Own)}
    return [inspect.Parameter(name, kind, default=defaults[name], annotation=hints[name]) for name in defaults]


def encoders_of(given: Own) -> dict[str, str]:
    """Return the folders of the sentence encoders by their names.

    Raises:
        GradsError: a name is none that a config could have, or a folder is not there.
    """
    folders = texts(given.encoder or [], "--encoder", "NAME=FOLDER")
    check_encoders(folders)
    return folders


def others_of(given: Own) -> dict[str, Path]:
    """Return the files of further records by what they are: `validation`, `anchor`."""
    asked = {"validation": given.validation, "anchor": given.anchor}
    return {name: path for name, path in asked.items() if path is not None}


def read_by(given: Own) -> list[Path]:
    """Return what the commands on one's own files read: data, model and encoders, as they were typed."""
    encoders = map(Path, encoders_of(given).values())
    return [given.data, Path(given.model), *encoders, *others_of(given).values()]


def open_workbench(given: Own, out: Path) -> "Workbench":
    """Check the options, fetch the model if it is the hub's, then import what is heavy and return the workbench.

    Raises:
        GradsError: an option is wrong, a folder cannot be written to, or the hub does not give the model.
    """
    from grads.api.opening import Asked, open_bench
    from grads.runtime.libraries import settle_libraries
    from grads.runtime.locks import take_device_slot

    check_folder(out.parent, f"--out {out}")
    # A model of the hub is fetched first: after that there is no hub.
    bench = open_bench(
        Asked(
            model=given.model,
            data=given.data,
            work=given.work or out.parent / "grads-work",
            fields=texts(given.field or [], "--field", "OURS=YOURS"),
            leave=given.leave or [],
            loss_turns=given.loss_turns,
            metadata=given.metadata or [],
            limit=given.limit,
            template=given.template,
            training=assignments(given.training or [], "--training"),
            seed=given.seed,
            encoders=encoders_of(given),
            probe=assignments(given.probe or [], "--probe"),
            dtype=given.dtype,
            token_budget=given.token_budget,
            micro_batch=given.micro_batch,
            others=others_of(given),
        )
    )
    settle_libraries()
    take_device_slot()
    return bench
