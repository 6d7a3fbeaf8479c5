"""What a stopped run goes on from: its last whole checkpoint, in the micro-batches that it began with."""

from pathlib import Path
from typing import Any

from grads.runtime.files import read_json, remove, write_json
from grads.runtime.progress import say

NOTE = "micro_batch.json"


def resume(scratch: Path, asked: int) -> tuple[int, Path | None]:
    """Return the records of a micro-batch and the checkpoint to go on from, None where the run begins.

    A run goes on in the micro-batches that it began with, whatever is asked for now, so that it ends with the weights
    of a run that was never stopped. Only one that could not get past its last checkpoint, and so may lack memory,
    begins anew where a smaller micro-batch is asked for.

    Args:
        scratch: the run's own folder; what is of no use in it is removed.
        asked: the micro-batch of a run that begins.
    """
    checkpoint, note = last_checkpoint(scratch), scratch / NOTE
    kept: dict[str, Any] = read_json(note) if note.is_file() else {"micro_batch": asked, "tried": None}
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


def note_shortage(scratch: Path) -> None:
    """Note that memory ran out after the last checkpoint: a smaller micro-batch has to begin anew."""
    checkpoint, note = last_checkpoint(scratch), scratch / NOTE
    write_json(note, read_json(note) | {"tried": checkpoint and checkpoint.name})


def last_checkpoint(scratch: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, which the trainer's state is; remove newer ones."""
    checkpoints = sorted(scratch.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(checkpoints):
        try:
            read_json(checkpoint / "trainer_state.json")
        except (OSError, ValueError):
            remove(checkpoint)
            continue
        return checkpoint
    return None
