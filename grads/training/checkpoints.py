"""What a stopped run goes on from: its last whole checkpoint, in the micro-batches that it began with."""

from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, read_object, reading, remove, sha256_file, write_json
from grads.runtime.progress import say

NOTE = "micro_batch.json"
# In a checkpoint: the run that it is of, and the SHA-256 of its files.
RECORD = "grads.json"


def resume(scratch: Path, asked: int) -> tuple[int, Path | None]:
    """Return the records of a micro-batch and the checkpoint to go on from, None where the run begins.

    A run goes on in the micro-batches that it began with, whatever is asked for now, so that it ends with the weights
    of a run that was never stopped. Only one that could not get past its last checkpoint, and so may lack memory,
    begins again where a smaller micro-batch is asked for.

    Args:
        scratch: the run's own folder; what is of no use in it is removed.
        asked: the micro-batch of a run that begins.
    """
    checkpoint = last_checkpoint(scratch)
    note = scratch / NOTE
    kept: dict[str, Any] = _noted(note) if note.is_file() else {"micro_batch": asked, "tried": None}
    if checkpoint is not None and (asked >= kept["micro_batch"] or checkpoint.name != kept["tried"]):
        write_json(note, kept | {"tried": checkpoint.name})
        say(f"resuming from {checkpoint} in micro-batches of {kept['micro_batch']}")
        return kept["micro_batch"], checkpoint
    if asked != kept["micro_batch"]:
        # What was seen of a run in other micro-batches is no part of this one.
        for path in scratch.iterdir():
            remove(path)
    write_json(note, {"micro_batch": asked, "tried": None})
    return asked, None


def note_micro_batch(scratch: Path, size: int) -> None:
    """Note that a run goes on in smaller micro-batches, as it does after a stop."""
    note = scratch / NOTE
    write_json(note, _noted(note) | {"micro_batch": size})


def note_shortage(scratch: Path) -> None:
    """Note that memory ran out after the last checkpoint: a smaller micro-batch has to begin again."""
    checkpoint = last_checkpoint(scratch)
    note = scratch / NOTE
    write_json(note, _noted(note) | {"tried": checkpoint and checkpoint.name})


def _noted(note: Path) -> dict[str, Any]:
    remedy = f"delete {note.parent} and run again, from the first step"
    kept = read_object(note, remedy)
    with reading(note, remedy):
        return {"micro_batch": int(kept["micro_batch"]), "tried": kept["tried"]}


def record_checkpoint(checkpoint: Path) -> None:
    """Note what a checkpoint consists of, so that a damaged one is not gone on from."""
    files = {path.name: sha256_file(path) for path in sorted(checkpoint.iterdir()) if path.is_file()}
    write_json(checkpoint / RECORD, {"run": checkpoint.parent.name, "sha256": files})


def last_checkpoint(scratch: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, which the trainer's state is, and is still whole.

    Newer ones are removed; of those that were whole once, that is said.
    """
    checkpoints = sorted(scratch.glob("checkpoint-*"), key=step_of)
    for checkpoint in reversed(checkpoints):
        try:
            _check(checkpoint)
        except GradsError as error:
            if (checkpoint / RECORD).exists():
                say(f"not resumed from: {error}")
            remove(checkpoint)
            continue
        return checkpoint
    return None


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was written after."""
    return int(checkpoint.name.rpartition("-")[2])


def _check(checkpoint: Path) -> None:
    """Refuse a checkpoint that is not whole, or was put here from another run."""
    remedy = "the one before it is taken"
    read_json(checkpoint / "trainer_state.json", remedy)
    record = checkpoint / RECORD
    if not record.exists():  # The run was killed between the two.
        return
    content = read_object(record, remedy)
    with reading(record, remedy):
        if content["run"] != checkpoint.parent.name:
            raise ValueError("it is of another run")
        recorded = dict(content["sha256"])
    for name, sha256 in recorded.items():
        with reading(checkpoint / name, remedy):
            if sha256_file(checkpoint / name) != sha256:
                raise ValueError("not what was written")
