"""Which records each optimiser step sees."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice

from grads.config.arms import Match
from grads.config.training import Training
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


def matched_order(
    tokens: Mapping[str, int], training: Training, seed: int, match: Match, whole: Sequence[int]
) -> list[str]:
    """Return the ids in the order of training, repeated until the run is as long as a plain one on all records.

    The order is that of `training_order`, with more epochs. `steps` gives as many visits, and so as many optimiser
    steps, as that run has; `tokens` stops with the first whole step at which prompts and responses together have at
    least as many tokens as that run reads. What is longer than that run is cut by the same rules.

    Args:
        tokens: of each record to train on, prompt and response, by id.
        training: gives epochs and global batch.
        seed: the seed of the order.
        match: `steps` or `tokens`.
        whole: tokens of each eligible record of the domain, before any selection or strategy.
    """
    visits = chain.from_iterable(shuffled_ids(tokens, seed, epoch) for epoch in count())
    if match == "steps":
        return list(islice(visits, len(whole) * training.epochs))
    return list(_until(sum(whole) * training.epochs, visits, tokens, training.global_batch))


def _until(wanted: int, visits: Iterator[str], tokens: Mapping[str, int], global_batch: int) -> Iterator[str]:
    seen = 0
    while seen < wanted:
        for id_ in islice(visits, global_batch):
            seen += tokens[id_]
            yield id_


def micro_batch(global_batch: int, most: int) -> int:
    """Return the largest divisor of the global batch that is at most `most`: accumulation makes up the rest."""
    return max(size for size in range(1, global_batch + 1) if global_batch % size == 0 and size <= max(1, most))
