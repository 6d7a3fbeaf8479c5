"""What the commands on one's own files have in common: their options, and the workbench that these make."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from grads.cli.options import (
    assignments,
    check_choice,
    check_data,
    check_folder,
    model_source,
    read_own_records,
    section,
    texts,
)
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    from grads.cli.workbench import Workbench
    from grads.config.probe import Probe
    from grads.config.training import Training

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
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for what is made on the way and used again; grads-work beside the output."),
    ] = None


# Keys of the config's `probe` that `--probe` has not.
NOT_ASKED = {
    "precision": "give --dtype",
    "token_budget": "give --token-budget",
    "shards": "one command is one job, remove it; a study shares a probe among several",
}
EVERYWHERE = ("model", "data", "field", "leave", "loss_turns", "template", "training", "work")


def on_own_files(*also: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make of a function whose first parameter is an `Own` a command with the options of it.

    Args:
        also: fields of `Own` that the command reads beside `EVERYWHERE`; it gets the defaults of the others.
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
    from grads.config.section import NAME

    folders = texts(given.encoder or [], "--encoder", "NAME=FOLDER")
    for name, folder in folders.items():
        if not re.fullmatch(NAME, name):
            raise GradsError(f"--encoder {name}={folder}: '{name}' is no name: use a-z, 0-9, - and _ only")
        if not Path(folder).is_dir():
            raise GradsError(f"--encoder {name}={folder}: there is no such folder: give one that save_pretrained wrote")
    return folders


def read_by(given: Own) -> list[Path]:
    """Return what the commands on one's own files read: data, model and encoders, as they were typed."""
    return [given.data, Path(given.model), *map(Path, encoders_of(given).values())]


def open_workbench(given: Own, out: Path) -> "Workbench":
    """Check the options, fetch the model if it is the hub's, then import what is heavy and return the workbench.

    Raises:
        GradsError: an option is wrong, a folder cannot be written to, or the hub does not give the model.
    """
    from grads.config.domains import TEXT_COLUMNS
    from grads.config.section import LossTurns, RecordField
    from grads.config.training import Training
    from grads.models.shape import check_shape
    from grads.runtime.libraries import settle_libraries
    from grads.runtime.locks import take_device_slot

    if given.template is not None:
        check_choice(given.template, ("chat", "plain"), "--template")
    check_choice(given.loss_turns, ("last", "all"), "--loss-turns")
    names = texts(given.field or [], "--field", "OURS=YOURS")
    encoders = encoders_of(given)
    for name in names:
        check_choice(name, get_args(RecordField), "--field")
    for name in given.metadata or []:
        if name in TEXT_COLUMNS:
            raise GradsError(f"--metadata {name}: every record has such a field of its own: remove it")
    training = section(Training, assignments(given.training or [], "--training"), "--training")
    probe = _probe(given, training)
    source = model_source(given.model)
    check_data(given.data)
    check_folder(out.parent, f"--out {out}")
    work = given.work or out.parent / "grads-work"
    check_folder(work, f"--work {work}")
    loss_turns: LossTurns = "all" if given.loss_turns == "all" else "last"
    # What is wrong with model or data is said now: importing what is heavy takes longer than reading them.
    check_shape(Path(given.model), training, probe)
    read_own_records(given.data, names, loss_turns, given.metadata or [], given.leave or [])
    from grads.cli.workbench import Workbench
    from grads.graph.files import Request

    request = Request(
        source=source,
        data=given.data,
        training=training,
        probe=probe,
        fields=names,
        leave=given.leave or [],
        loss_turns=loss_turns,
        metadata=given.metadata or [],
        encoders=encoders,
        seed=given.seed,
    )
    # A model of the hub is fetched first: after that there is no hub.
    bench = Workbench(work, request, given.template, given.micro_batch)
    settle_libraries()
    take_device_slot()
    return bench


def _probe(given: Own, training: "Training") -> "Probe":
    """Return how signals are taken, in the type of the training unless another is given.

    Raises:
        GradsError: a key is unknown, has an option of its own or is one of a study's jobs.
    """
    from grads.config.probe import Probe

    asked = assignments(given.probe or [], "--probe")
    for key, instead in NOT_ASKED.items():
        if key in asked:
            raise GradsError(f"--probe {key}: {instead}")
    if given.dtype is not None:
        check_choice(given.dtype, ("float32", "bf16"), "--dtype")
    asked |= {"token_budget": given.token_budget, "precision": given.dtype or training.precision}
    return section(Probe, asked, "--probe")
