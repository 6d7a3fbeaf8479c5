"""The keywords that the Python functions share, and the workbench that they ask for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from grads.api.given import model_path, records_path
from grads.api.opening import Asked, open_bench

if TYPE_CHECKING:
    from grads.api.given import Model, Records, Tokenizer
    from grads.api.workbench import Workbench

WORK = Path("grads-work")


class Settings(TypedDict, total=False):
    """Keywords of `probe`, `train` and `evaluate`, all of them optional, called as the options of the commands.

    Attributes:
        work: folder for what is made on the way and used again; `grads-work` in the working folder.
        tokenizer: of a model in memory; that of the folder it was loaded from.
        fields: our names of fields and the data's own, where they differ: `{"prompt": "question"}`.
        leave: columns, or keys and roles of turns, that are knowingly left out, such as `["tool_calls"]`.
        loss_turns: of conversations, whether the `last` answer carries loss, or `all`.
        metadata: further fields of the records, which the method reads.
        limit: take the first so many records only, to try something out.
        template: `chat` or `plain`; the model's chat template where it has one.
        training: keys of the config's `training`, such as `{"epochs": 3, "adapter": {"rank": 8}}`.
        probe: keys of the config's `probe`, such as `{"features": {"size": 8}}`.
        encoders: folders of sentence encoders by the names that methods' parameter `encoder` has.
        dtype: type of the probed weights, `float32` or `bf16`; that of the training.
        seed: seeds every draw; 0.
        micro_batch: most records in one training pass; 8.
        token_budget: most tokens in one batch of the probe or of an evaluation; 2048 and 4096.
    """

    work: str | Path
    tokenizer: "Tokenizer"
    fields: Mapping[str, str]
    leave: Sequence[str]
    loss_turns: Literal["last", "all"]
    metadata: Sequence[str]
    limit: int
    template: Literal["chat", "plain"]
    training: Mapping[str, Any]
    probe: Mapping[str, Any]
    encoders: Mapping[str, str]
    dtype: Literal["float32", "bf16"]
    seed: int
    micro_batch: int
    token_budget: int


def bench_of(model: "Model", records: "Records", settings: Settings) -> "Workbench":
    """Return the workbench of a model, records and settings.

    Raises:
        GradsError: something is wrong with them.
    """
    work = Path(settings.get("work", WORK))
    asked = Asked(
        model=model_path(model, settings.get("tokenizer"), work),
        data=records_path(records, work),
        work=work,
        fields=settings.get("fields", {}),
        leave=settings.get("leave", ()),
        loss_turns=settings.get("loss_turns", "last"),
        metadata=settings.get("metadata", ()),
        limit=settings.get("limit"),
        template=settings.get("template"),
        training=settings.get("training", {}),
        seed=settings.get("seed", 0),
        encoders={name: str(folder) for name, folder in settings.get("encoders", {}).items()},
        probe=settings.get("probe", {}),
        dtype=settings.get("dtype"),
        token_budget=settings.get("token_budget", 2048),
        micro_batch=settings.get("micro_batch", 8),
    )
    return open_bench(asked)
