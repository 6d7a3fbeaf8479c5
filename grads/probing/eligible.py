"""Records that can be measured: those that fit into what training reads of a record."""

from pathlib import Path

from grads.config.training import Training
from grads.data.records.record import load_records
from grads.runtime.errors import GradsError


def nothing_eligible(records: Path, training: Training) -> GradsError:
    """Return the sentence for a file of records none of which fits."""
    return GradsError(
        f"{records}: none of {len(load_records(records))} records fits into training.max_length = "
        f"{training.max_length} tokens: raise it, or set training.over_length to 'truncate'"
    )
