"""`mastery`: records of facts that the model half knows, as in "60 Data Points are Sufficient to Fine-Tune LLMs".

R is the share of a model's sampled answers that are right. Records are sorted into five bins: R = 0, up to 1/4, up to
1/2, up to 3/4, and up to 1 (numbers 0 to 4). The records of one bin are kept, drawn at random and evenly over topics.

Certain: the measure, the bins, the even draw, and that a few dozen records do much; 10 answers to each of 21 wordings
of a question are sampled, at a temperature of 0.7. A follow-up finds 240 records best, those of which the model knows
nothing (bin 0) worst, and those of middling mastery best overall.

Ours:

- Which of the middle bins is the default.
- Where R comes from: a `field` of the records, a number from 0 to 1 that was measured elsewhere, or a stand-in, the
  rank of the answer's likelihood under the untrained model, or with an arm's `scorer` under that one: R = (rank - 1/2)
  / N, so that each bin but the first, which is empty, has a quarter of the records. It orders by what the model finds
  likely, which is how well it knows an answer only as far as answers are alike in form and length.
- The topic: `topic` names a field, `source` unless given. Topics take turns, a record each, and one that is exhausted
  is passed over.
- Where a bin has fewer records than are asked for, the nearest bins follow, of two the better known first.

The score falls with the order of choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

# Bins above the first, of equal width.
BINS = 4


class Mastery(Parameters):
    """Parameters of `mastery`."""

    bin: int = Field(2, ge=0, le=BINS, description="The bin that is kept: 0 is not known at all, 4 is known best.")
    field: str | None = Field(
        None,
        description="Field of the share of answers that are right, 0 to 1; null: a stand-in, the likelihood.",
    )
    topic: str = Field("source", description="Field of the topic, over which the draw is even.")

    @model_validator(mode="after")
    def _the_stand_in_knows_no_zero(self) -> Mastery:
        if self.field is None and self.bin == 0:
            raise ValueError("bin 0 is of records never answered right, which a likelihood cannot tell: give a field")
        return self


def needs(parameters: Mastery) -> Needs:
    """Return the need of texts, and of the likelihood where it stands in."""
    stores = {} if parameters.field else {"base": frozenset({"losses"})}
    return Needs(stores, texts=frozenset({"train"}))


def select(inputs: Inputs, parameters: Mastery) -> Choice:
    """Choose from the bin, and then from those nearest to it."""
    import numpy as np

    bins = bins_of(_known(inputs, parameters))
    drawn = shuffled_ids(inputs.pool["id"], own_seed(inputs.seed, "mastery"))
    place = {id_: number for number, id_ in enumerate(drawn)}
    places = np.array([place[id_] for id_ in inputs.pool["id"]])
    # Twice the distance, and half a step for the less known.
    distance = 2 * np.abs(bins - parameters.bin) + (bins < parameters.bin)
    order = in_turns(distance, _topics(inputs, parameters.topic), places)
    score = np.empty(len(order))
    score[order] = 1.0 - np.arange(len(order)) / len(order)
    kept = order[: inputs.count]
    notes = {
        "stand_in": None if parameters.field else "likelihood",
        "records_of_bins": np.bincount(bins, minlength=BINS + 1).tolist(),
        "kept_of_the_bin": int((bins[kept] == parameters.bin).sum()),
    }
    return Choice(score, kept, notes)


def bins_of(known: np.ndarray) -> np.ndarray:
    """Return the bins of N shares from 0 to 1; a share on a border is of the lower bin."""
    import numpy as np

    # A share of 0.75 as a quotient may be a rounding above it.
    return np.ceil(BINS * known - 1e-9).astype(int)


def in_turns(group: np.ndarray, topics: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the positions of N records: group by group, in each group topics by turns, in each topic by place."""
    import numpy as np

    turn = np.empty(len(group), dtype=int)
    for which in np.unique(group):
        for topic in np.unique(topics):
            members = np.flatnonzero((group == which) & (topics == topic))
            turn[members[np.argsort(places[members])]] = np.arange(len(members))
    return np.lexsort((places, turn, group))


def _known(inputs: Inputs, parameters: Mastery) -> np.ndarray:
    """Return the share of right answers of N records, or what stands in for it.

    Raises:
        GradsError: a record has no such number, or one outside 0 to 1.
    """
    from scipy.stats import rankdata

    from grads.runtime.errors import GradsError
    from grads.selection.methods.metadata import all_numbers

    if parameters.field is None:
        losses = inputs.signals["base"]["response_nll"].to_numpy(dtype=float)
        return (rankdata(-losses) - 0.5) / len(losses)
    values = all_numbers(inputs, parameters.field)
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        first = int(wrong.argmax())
        raise GradsError(
            f"record {inputs.pool['id'][first]} has {values[first]:g} in '{parameters.field}', which is no share of "
            "right answers: give numbers from 0 to 1"
        )
    return values


def _topics(inputs: Inputs, field: str) -> np.ndarray:
    import numpy as np

    from grads.selection.methods.metadata import column_of

    numbered: np.ndarray = np.unique(column_of(inputs.texts["train"], field).astype(str), return_inverse=True)[1]
    return numbered


METHOD = Method(
    name="mastery",
    title="60 data points (local)",
    source="arXiv 2409.15825, and its follow-up; stand-in for sampled answers ours",
    select=select,
    parameters=Mastery,
    needs=needs,
    draws=True,
)
