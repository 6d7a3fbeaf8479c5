"""Which records each optimiser step sees."""

import math
from collections.abc import Sequence

from grads.study.config import Training
from grads.study.seeds import shuffled_ids


def optimiser_steps(records: int, epochs: int, global_batch: int) -> int:
    """Return the steps of `epochs` passes over `records`, each step of a whole global batch but the last."""
    return math.ceil(records * epochs / global_batch)


def training_order(ids: Sequence[str], training: Training, seed: int, steps_of_records: int | None = None) -> list[str]:
    """Return the ids in the order of training, every visit of every record, epochs joined end to end.

    Epochs are not padded or cut at their ends, so every step but the last has the full global batch, and every record
    is seen `epochs` times. Each epoch's order depends on the seed and on each id alone: arms differ in membership only.

    Args:
        ids: the records to train on.
        training: gives epochs and global batch.
        seed: the seed of the order.
        steps_of_records: stop after as many steps as so many records would take (the control `full_steps`).
    """
    visits = [id_ for epoch in range(training.epochs) for id_ in shuffled_ids(ids, seed, epoch)]
    if steps_of_records is None:
        return visits
    return visits[: optimiser_steps(steps_of_records, training.epochs, training.global_batch) * training.global_batch]


def micro_batch(global_batch: int, most: int) -> int:
    """Return the largest divisor of the global batch that is at most `most`: accumulation makes up the rest."""
    return max(size for size in range(1, global_batch + 1) if global_batch % size == 0 and size <= max(1, most))
