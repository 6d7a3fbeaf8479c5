"""Both steps of Superfiltering by hand, and the second against the plain greedy algorithm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from grads.selection.contract import Choice, Inputs
from grads.selection.methods.superfiltering import METHOD, Superfiltering

Make = Callable[..., Inputs]


def choose(inputs_of: Make, points: Any, ratios: Any, count: int, **parameters: Any) -> Choice:
    """Choose among records whose loss without the question is 1, so that `form: losses` has the ratios given."""
    inputs = inputs_of({"base": {"hidden": points}}, count)
    inputs.signals["base"]["response_nll"] = ratios
    inputs.signals["base"]["unconditional_nll"] = 1.0
    return METHOD.select(inputs, Superfiltering(**{"form": "losses"} | parameters))


def chosen(choice: Choice) -> list[int]:
    assert choice.order is not None
    return choice.order.tolist()


def test_six_records_by_hand(inputs_of: Make) -> None:
    degrees = np.radians([0, 10, 20, 90, 100, 180])
    points = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    ratios = [0.9, 0.8, 0.7, 0.6, 0.5, 1.5]
    # Four candidates, at 0, 10, 20 and 90: that at 10 stands best for all alone, and 90 is worst stood for then.
    choice = choose(inputs_of, points, ratios, 2, candidates=2.0)
    assert chosen(choice) == [1, 3]
    assert choice.notes["candidates"] == 4
    assert choice.notes["discarded"] == 1
    assert choice.score[:5].tolist() == ratios[:5]
    assert choice.score[5] < 0.5
    # As many candidates as records: IFD alone, in the order of the second step.
    assert set(chosen(choose(inputs_of, points, ratios, 2, candidates=1.0))) == {0, 1}


def test_no_more_is_kept_than_is_below_one(inputs_of: Make) -> None:
    assert sorted(chosen(choose(inputs_of, np.eye(4), [0.5, 1.0, 2.0, 0.9], 3))) == [0, 3]
    assert chosen(choose(inputs_of, np.eye(2), [1.0, 2.0], 1)) == []


def greedy(points: np.ndarray, count: int) -> list[int]:
    """Return the positions that make the sum of c - distance to the nearest chosen one largest, one by one."""
    distance = cdist(points, points)
    similarity = distance.max() - distance
    taken: list[int] = []
    for _ in range(count):
        sums = [
            -1.0 if place in taken else round(float(similarity[:, [*taken, place]].max(axis=1).sum()), 4)
            for place in range(len(points))
        ]
        taken.append(int(np.argmax(sums)))
    return taken


def test_the_second_step_is_greedy_facility_location_over_directions(inputs_of: Make) -> None:
    random = np.random.default_rng(0)
    points, ratios = random.normal(size=(50, 4)), random.uniform(0.1, 0.99, 50)
    inputs = inputs_of({"base": {"hidden": points}}, 6)
    candidates = np.sort(np.argsort(-ratios)[:30])
    seen = np.asarray(inputs.features["base"]["hidden"].unit)[candidates].astype(float)
    expected = candidates[greedy(seen / np.linalg.norm(seen, axis=1, keepdims=True), 6)].tolist()
    assert chosen(choose(inputs_of, points, ratios, 6, candidates=5.0)) == expected


def test_a_ratio_of_perplexities_is_the_default() -> None:
    assert Superfiltering().form == "perplexities"
    assert Superfiltering().candidates == 10


@pytest.mark.parametrize(("encoder", "store"), [(None, "base"), ("minilm", "encoder-minilm")])
def test_needs(encoder: str | None, store: str) -> None:
    needs = METHOD.needs(Superfiltering(encoder=encoder)).stores
    assert {"losses", "unconditional"} <= needs["base"]
    assert needs[store] >= ({"hidden"} if encoder is None else {"sentences"})
