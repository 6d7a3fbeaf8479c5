"""From what somebody asks for, in Python or on the command line, to a workbench: checked, and the model fetched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from grads.api.checks import (
    check_choice,
    check_data,
    check_encoders,
    check_folder,
    model_source,
    read_own_records,
    section,
)
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    from grads.api.workbench import Workbench
    from grads.config.probe import Probe
    from grads.config.training import Training

# Keys of the config's `probe` that `--probe` has not.
NOT_ASKED = {
    "precision": "give --dtype",
    "token_budget": "give --token-budget",
    "shards": "one command is one job, remove it; a study shares a probe among several",
}


@dataclass(frozen=True)
class Asked:
    """A model, records and what shapes the work on them, as they were given and not checked yet.

    Attributes:
        model: a folder, a .gguf file, or `owner/name` of the hub.
        data: file or folder of the records.
        work: folder for what is made on the way.
        others: files of further records: `validation`, `anchor`.

    The others are called as in the config, or as the options of the commands.
    """

    model: str
    data: Path
    work: Path
    fields: Mapping[str, str] = field(default_factory=dict)
    leave: Sequence[str] = ()
    loss_turns: str = "last"
    metadata: Sequence[str] = ()
    limit: int | None = None
    template: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    encoders: Mapping[str, str] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    token_budget: int = 2048
    micro_batch: int = 8
    others: Mapping[str, Path] = field(default_factory=dict)


def open_bench(asked: Asked) -> "Workbench":
    """Check what is asked for, fetch the model if it is the hub's, and return the workbench.

    Raises:
        GradsError: something is wrong, a folder cannot be written to, or the hub does not give the model.
    """
    from grads.config.domains import TEXT_COLUMNS
    from grads.config.section import LossTurns, RecordField
    from grads.config.training import Training
    from grads.models.shape import check_shape
    from grads.training.needs import check_curves

    if asked.template is not None:
        check_choice(asked.template, ("chat", "plain"), "--template")
    check_choice(asked.loss_turns, get_args(LossTurns), "--loss-turns")
    check_encoders(asked.encoders)
    for name in asked.fields:
        check_choice(name, get_args(RecordField), "--field")
    for name in asked.metadata:
        if name in TEXT_COLUMNS:
            raise GradsError(f"--metadata {name}: every record has such a field of its own: remove it")
    training = section(Training, dict(asked.training), "--training")
    check_curves(training)
    probe = _probe(asked, training)
    source = model_source(asked.model)
    check_data(asked.data)
    check_folder(asked.work, f"--work {asked.work}")
    loss_turns: LossTurns = "all" if asked.loss_turns == "all" else "last"
    # What is wrong with model or data is said now: importing what is heavy takes longer than reading them.
    check_shape(Path(asked.model), training, probe)
    read_own_records(asked.data, asked.fields, loss_turns, asked.metadata, asked.leave)
    from grads.api.workbench import Workbench
    from grads.graph.files import Request

    request = Request(
        source=source,
        data=asked.data,
        training=training,
        probe=probe,
        fields=asked.fields,
        leave=list(asked.leave),
        loss_turns=loss_turns,
        metadata=list(asked.metadata),
        limit=asked.limit,
        encoders=asked.encoders,
        seed=asked.seed,
        others=checked_others(asked.others, asked.fields, asked.leave),
    )
    return Workbench(asked.work, request, asked.template, asked.micro_batch)


def checked_others(others: Mapping[str, Path], fields: Mapping[str, str], leave: Sequence[str]) -> dict[str, Path]:
    """Return the files of further records, each of which has been read once.

    Raises:
        GradsError: one is not there, or holds no record.
    """
    from grads.graph.files import columns_there

    for name, path in others.items():
        check_data(path, f"--{name}")
        read_own_records(path, columns_there(path, fields), "last", [], leave)
    return dict(others)


def _probe(asked: Asked, training: "Training") -> "Probe":
    """Return how signals are taken, in the type of the training unless another is given.

    Raises:
        GradsError: a key is unknown, has an option of its own or is one of a study's jobs.
    """
    from grads.config.probe import Probe

    for key, instead in NOT_ASKED.items():
        if key in asked.probe:
            raise GradsError(f"--probe {key}: {instead}")
    if asked.dtype is not None:
        check_choice(asked.dtype, ("float32", "bf16"), "--dtype")
    given = {"token_budget": asked.token_budget, "precision": asked.dtype or training.precision}
    return section(Probe, {**asked.probe, **given}, "--probe")
