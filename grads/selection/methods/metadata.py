"""`metadata`: records ranked by a number that they bring along, such as somebody's quality score.

The field must be among the domain's `metadata`, so that it is read with the records. A record without a number there is
an error, or with `missing: last` comes after all others.

"Pre-training data selection for biomedical domain adaptation using journal impact metrics" (arXiv 2409.02725) is this
method with a field that has such a metric of the record's journal, the highest kept; by its abstract it was "not
efficient" there, in continual pre-training of BERT on PubMed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.runtime.errors import GradsError, nearest
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Missing = Literal["refuse", "last"]


class Metadata(Parameters):
    """Parameters of `metadata`."""

    field: str = Field(min_length=1, description="Field of the records, one of the domain's `metadata`.")
    order: Literal["highest", "lowest"] = Field("highest", description="Which are kept.")
    missing: Missing = Field("refuse", description="What becomes of records without a number.")


def needs(_parameters: Metadata) -> Needs:
    """Return the need of the records."""
    return Needs(texts=frozenset({"train"}))


def select(inputs: Inputs, parameters: Metadata) -> Choice:
    """Choose by the number, or by minus it.

    Raises:
        GradsError: no record has the field, or one has no number there and that is refused.
    """
    import numpy as np

    from grads.selection.gradient_signals import below

    values = numbers_of(inputs, parameters.field, parameters.missing)
    absent = np.isnan(values)
    least = values[~absent].min() if not absent.all() else 0.0
    score = np.where(absent, least, values) * (1 if parameters.order == "highest" else -1)
    return Choice(below(score, absent), notes={"without_a_number": int(absent.sum())})


def numbers_of(inputs: Inputs, field: str, missing: Missing) -> np.ndarray:
    """Return N numbers of a field of the training records, NaN where a record has none.

    Raises:
        GradsError: no record has the field, or one has no number there and that is refused.
    """
    import numpy as np

    values = _numbers(inputs.texts["train"], field)
    absent = np.isnan(values)
    if absent.any() and missing == "refuse":
        raise GradsError(
            f"{int(absent.sum())} of {len(values)} records have no number in '{field}' (first: "
            f"{inputs.pool['id'][int(absent.argmax())]}): add it, or set the parameter missing to last"
        )
    return values


def all_numbers(inputs: Inputs, field: str) -> np.ndarray:
    """Return N numbers of a field of the training records, for a method that cannot do without.

    Raises:
        GradsError: no record has the field, or one has no number there.
    """
    import numpy as np

    values = numbers_of(inputs, field, "last")
    absent = np.isnan(values)
    if absent.any():
        raise GradsError(
            f"{int(absent.sum())} of {len(values)} records have no number in '{field}' (first: "
            f"{inputs.pool['id'][int(absent.argmax())]}): add it to the data"
        )
    return values


def column_of(records: pd.DataFrame, field: str) -> pd.Series:
    """Return a field of the records, whatever its type.

    Raises:
        GradsError: no record has it.
    """
    if field not in records:
        raise GradsError(
            f"no record has a field '{field}': name it in the domain's metadata (or by --metadata); "
            f"{nearest(field, records.columns)}"
        )
    return records[field]


def _numbers(records: pd.DataFrame, field: str) -> np.ndarray:
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(column_of(records, field), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


METHOD = Method(
    name="metadata",
    title="Field of the record",
    source="control",
    select=select,
    parameters=Metadata,
    needs=needs,
    example={"field": "quality"},
)
