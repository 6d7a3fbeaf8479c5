"""`rds_plus`: RDS+, the records nearest to target examples by the hidden states of the untrained model.

A record's vector is the mean of the last layer's states over prompt and response, weighted by position (1, ..., T), and
nearness is the cosine to each validation record.

- `round_robin`: the validation records, in the order of their ids, take turns; at its turn each takes the nearest
  record that nobody took, equals by id, until there are enough.
- `round_robin_pass`, the authors' code: in turn t each takes its t-th nearest, and passes if somebody took it.
- `mean`, in the authors' code too: the highest mean cosine.

Certain: the states and their weights, the cosine, and the rounds of `round_robin_pass`.

Ours: `round_robin` as the default, as others have re-implemented the method (dcml-lab): every validation record gets
its share of the subset, also where many want the same. The two had 89 to 99.7 % of their records in common. In rounds
the score is the largest cosine to a validation record, and ranks are the order of taking. Cosines count to six
decimals. The authors' rounds over several target tasks are not there: all validation records are one task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np

# Cosines that are held at once.
CHUNK = 2**24
# Neighbours that are held at once, over all validation records.
LISTED = 2**27


class RdsPlus(Parameters):
    """Parameters of `rds_plus`."""

    aggregate: Literal["round_robin", "round_robin_pass", "mean"] = Field(
        "round_robin", description="Validation records take their nearest in turns, or the mean cosine to them counts."
    )


def needs(_parameters: RdsPlus) -> Needs:
    """Return the need of the weighted hidden states of both splits."""
    return Needs({store: frozenset({"weighted_hidden"}) for store in ("base", "base-validation")})


def select(inputs: Inputs, parameters: RdsPlus) -> Choice:
    """Choose by the mean cosine to the validation records, or as they take turns."""
    from grads.selection.algorithms.neighbours import cosines_with, unit_matrix

    states = inputs.features["base"]["weighted_hidden"]
    queries = unit_matrix(inputs.features["base-validation"]["weighted_hidden"])
    if parameters.aggregate == "mean":
        return Choice(cosines_with(states, queries.mean(axis=0, dtype=float)))
    records = unit_matrix(states)
    passing = parameters.aggregate == "round_robin_pass"
    length = inputs.count if passing else min(inputs.count, max(1, LISTED // len(queries)))
    lists, largest = neighbour_lists(records, queries, length)
    taken = take_or_pass(lists, len(records)) if passing else take_turns(records, queries, lists, inputs.count)
    return Choice(largest, taken[: inputs.count])


def neighbour_lists(records: np.ndarray, queries: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Q x `length` positions of each query's nearest records, and N largest cosines to a query."""
    import numpy as np

    from grads.selection.algorithms.neighbours import DECIMALS, ranked

    largest = np.full(len(records), -np.inf)
    lists = []
    step = max(1, CHUNK // len(records))
    for start in range(0, len(queries), step):
        cosines = queries[start : start + step] @ records.T
        lists.append(ranked(cosines, length)[1].astype(np.int32))
        np.maximum(largest, cosines.max(axis=0), out=largest)
    return np.concatenate(lists), np.round(largest, DECIMALS)


def take_turns(records: np.ndarray, queries: np.ndarray, lists: np.ndarray, count: int) -> np.ndarray:
    """Return `count` positions as the queries take their nearest records in turns, first taken first.

    A query whose list is at its end gets another, of the nearest that nobody took yet.
    """
    import numpy as np

    from grads.selection.algorithms.neighbours import OWN, ranked

    length = lists.shape[1]
    taken = np.zeros(len(records), dtype=bool)
    order = np.empty(count, dtype=int)
    place = np.zeros(len(queries), dtype=int)
    for turn in range(count):
        query = turn % len(queries)
        while True:
            open_ = np.flatnonzero(~taken[lists[query, place[query] :]])
            if len(open_):
                break
            cosines = np.where(taken, OWN, queries[query] @ records.T)
            lists[query] = ranked(cosines[None], length)[1][0]
            place[query] = 0
        place[query] += int(open_[0])
        order[turn] = lists[query, place[query]]
        taken[order[turn]] = True
    return order


def take_or_pass(lists: np.ndarray, size: int) -> np.ndarray:
    """Return the positions of Q x k lists, of `size` records, once each: all first ones by query, then on."""
    import numpy as np

    number, length = lists.shape
    # When a record is wanted first: turn x Q + query.
    wanted = np.full(size, number * length)
    for query, nearest in enumerate(lists):
        wanted[nearest] = np.minimum(wanted[nearest], np.arange(length) * number + query)
    return np.argsort(wanted)[: int((wanted < number * length).sum())]


METHOD = Method(
    name="rds_plus",
    title="RDS+",
    source="arXiv 2503.01807; code hamishivi/automated-instruction-selection @df71a04",
    select=select,
    parameters=RdsPlus,
    needs=needs,
    uses_target=True,
)
