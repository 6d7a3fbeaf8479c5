"""The uniform draw: what uniform means, and what it must not depend on."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from grads.selection.contract import Inputs
from grads.selection.methods.random import METHOD, Random

IDS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), min_size=1, max_size=30, unique=True)


def drawn(ids: Sequence[str], seed: int) -> list[str]:
    """Return the ids, first drawn first."""
    pool = pd.DataFrame({"id": sorted(ids), "response_tokens": 5})
    score = METHOD.select(Inputs({"tokens": pool}, {}, {}, len(pool), seed), Random()).score
    return pool["id"].iloc[np.argsort(-score, kind="stable")].tolist()


@given(IDS, st.integers(0, 2**31))
def test_scores_fall_from_one_in_equal_steps(ids: list[str], seed: int) -> None:
    pool = pd.DataFrame({"id": ids})
    score = METHOD.select(Inputs({"tokens": pool}, {}, {}, len(ids), seed), Random()).score
    np.testing.assert_allclose(sorted(score, reverse=True), 1 - np.arange(len(ids)) / len(ids))


@given(IDS, st.integers(0, 2**31), st.data())
def test_a_record_keeps_its_place_among_others_whatever_the_pool_holds(
    ids: list[str], seed: int, data: st.DataObject
) -> None:
    """So data that is added later does not reshuffle what was drawn before."""
    subset = data.draw(st.lists(st.sampled_from(ids), unique=True))
    assert drawn(subset, seed) == [id_ for id_ in drawn(ids, seed) if id_ in subset]


def test_every_pair_of_records_is_drawn_equally_often() -> None:
    ids, draws = [f"id{n}" for n in range(5)], 400
    pairs = list(combinations(ids, 2))
    counts = dict.fromkeys(pairs, 0)
    for seed in range(draws):
        counts[tuple(sorted(drawn(ids, seed)[:2]))] += 1  # type: ignore[index]
    expected = draws / len(pairs)
    # Chi-square with 9 degrees of freedom: 33.7 is its 0.9999 quantile.
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 33.7


def test_where_the_ratio_is_automatic_a_reference_is_counted() -> None:
    needs = METHOD.needs(Random(reference="other"))
    assert needs.references(auto=True) == ("other",)
    assert needs.references(auto=False) == ()
    assert METHOD.needs(Random()).count_of == "grads"
    assert METHOD.automatic_count(Random()) is None
