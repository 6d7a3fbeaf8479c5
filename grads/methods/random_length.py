"""`random_length`: a random draw with the response lengths of another arm's selection.

The norm of a mean-token gradient falls with the number of tokens, so a gradient method may be a length filter in
disguise; this control has the same lengths and nothing else. The pool is cut into 20 bins by quantiles of the response
tokens (ours; fewer where quantiles coincide), and from each bin of the whole pool as many records are drawn as the
reference has there. Both hold some records in common by chance alone: that number is noted beside the true one.
"""

from typing import Any

from pydantic import Field

from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import shuffled_ids

BINS = 20


class RandomLength(Parameters):
    """Parameters of `random_length`."""

    reference: str = Field("grads", description="Arm whose lengths are matched, at the same ratio and seed.")


def needs(parameters: RandomLength) -> Needs:
    """Return the need of the reference arm's selection."""
    return Needs(arms=(parameters.reference,), count_of=parameters.reference)


def length_bins(lengths: Any) -> Any:
    """Return for each of N lengths the number of its quantile bin, 0 for the shortest."""
    import numpy as np

    inner = np.unique(np.quantile(lengths, np.arange(1, BINS) / BINS))
    return np.searchsorted(inner, lengths, side="right")


def select(inputs: Inputs, parameters: RandomLength) -> Choice:
    """Draw from each length bin as many records as the reference keeps there."""
    import numpy as np

    # The second order of the seed, so that this draw and that of `random` are independent.
    order = {id_: index for index, id_ in enumerate(shuffled_ids(inputs.pool["id"], inputs.seed, round_=1))}
    place = np.array([order[id_] for id_ in inputs.pool["id"]])
    kept = inputs.references[parameters.reference]["kept"].to_numpy()
    bins = length_bins(inputs.pool["response_tokens"].to_numpy())
    chosen: list[int] = []
    chance = 0.0
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        wanted = int(kept[members].sum())
        chosen.extend(members[np.argsort(place[members])[:wanted]])
        # Mean of the hypergeometric distribution: `wanted` draws, and `wanted` of the members are the reference's.
        chance += wanted * wanted / len(members)
    drawn = np.array(sorted(chosen, key=lambda index: place[index]), dtype=int)
    notes = {
        "reference": parameters.reference,
        "length_bins": len(np.unique(bins)),
        "overlap": int(kept[drawn].sum()),
        "overlap_expected_by_chance": round(chance, 3),
    }
    return Choice(1.0 - place / len(place), drawn, notes)


METHOD = Method(
    "random_length", "Random, length-matched", "control", select, RandomLength, needs, draws=True, nested=False
)
