"""The three-factor method by hand and by brute force."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde, rankdata

from grads.runtime.errors import GradsError
from grads.selection.algorithms import neighbours as neighbours_module
from grads.selection.methods.grads import METHOD, diversity, magnitude_columns, rank_share, usable_columns
from grads.selection.registry import parse_parameters
from grads.signals.vectors import Vectors, split_lengths

Select = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]


class HandStore:
    def __init__(self, signals: pd.DataFrame, features: np.ndarray | None = None) -> None:
        self.signals, self.left_out = signals, ()
        self.features = {} if features is None else {"hidden": Vectors(*split_lengths(features))}


@pytest.fixture
def hand_made() -> dict[str, HandStore]:
    """Four records whose only usable column is log embedding l2 = 0, 0.1, 0.2, 2."""
    tokens = pd.DataFrame({"id": list("abcd"), "prompt_tokens": 9, "response_tokens": 5, "truncated": False})
    size = np.exp([0.0, 0.1, 0.2, 2.0])
    warm = tokens.assign(embedding_l2=size, embedding_max=size / 2, embedding_min=-size / 2)
    warm = warm.assign(head_l2=1.0, head_max=0.25, head_min=-0.5)
    features = np.array([[1, 0], [2, 0], [0, 1], [-3, 0]], dtype=np.float32)
    return {"tokens": HandStore(tokens), "warm": HandStore(warm), "base": HandStore(tokens, features)}


def test_four_records_by_hand(hand_made: dict[str, HandStore], select: Select) -> None:
    # Density falls from b over c and a to d: R(rep) = 2/4, 4/4, 3/4, 1/4. The nearest neighbour of a and b has cosine
    # 1, that of c and d cosine 0: R(div) = 1.5/4, 1.5/4, 3.5/4, 3.5/4. So a starts with 0.6875, b and c with 1.1875, d
    # with 0.6875. First b, by its id; then a has 0.6875 - 0.5, c still 1.1875, d 0.6875 + 0.5: c, by its id; then d.
    table, meta = select("grads", "1", hand_made, neighbours=1)
    assert table["id"].tolist() == ["b", "c", "d", "a"]
    assert table["score"].tolist() == [1.1875, 1.1875, 0.6875, 0.1875]
    assert meta["notes"]["columns"] == ["embedding_log_l2"]
    assert meta["notes"]["dropped_columns"] == {
        "embedding_log_max_abs": "a straight line of embedding_log_l2",
        "embedding_asymmetry": "constant",
        "head_log_l2": "constant",
        "head_log_max_abs": "constant",
        "head_asymmetry": "constant",
    }


def test_records_not_chosen_follow_by_their_last_score(hand_made: dict[str, HandStore], select: Select) -> None:
    table, _ = select("grads", "0.25", hand_made, neighbours=1)
    # After b: c and d stand at 1.1875, a at 0.1875.
    assert table["id"].tolist() == ["b", "c", "d", "a"]
    assert table["score"].tolist() == [1.1875, 1.1875, 1.1875, 0.1875]


def brute_force(stores: dict[str, Any], count: int, weights: tuple[float, float, float], neighbours: int) -> list[str]:
    """Return the ids chosen, straight from the definition."""
    warm = stores["warm"].signals
    ids, features = warm["id"].tolist(), np.asarray(stores["base"].features["hidden"], dtype=float)
    columns = []
    for matrix in ("embedding", "head"):
        l2, high, low = (warm[f"{matrix}_{name}"] for name in ("l2", "max", "min"))
        columns += [np.log(l2), np.log(np.maximum(high.abs(), low.abs())), (high + low) / (high - low)]
    rep = np.mean([gaussian_kde(column).logpdf(column) for column in columns], axis=0)

    def cosine(i: int, j: int) -> float:
        return features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j])

    everyone = range(len(ids))
    nearest = [sorted((cosine(i, j) for j in everyone if j != i), reverse=True)[:neighbours] for i in everyone]
    ranks = rankdata(rep) / len(ids), rankdata([1 - np.mean(near) for near in nearest]) / len(ids)
    chosen: list[int] = []
    while len(chosen) < count:

        def gain(i: int) -> float:
            similar = max((cosine(i, j) for j in chosen), default=0.0)
            return weights[0] * ranks[0][i] + weights[1] * ranks[1][i] - weights[2] * similar

        chosen.append(max((i for i in everyone if i not in chosen), key=lambda i: (round(gain(i), 5), -i)))
    return [ids[i] for i in chosen]


@pytest.mark.parametrize("weights", [(1.0, 0.5, 0.5), (0.2, 1.0, 3.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("count", [5, 33])
def test_selection_equals_brute_force(
    count: int,
    weights: tuple[float, float, float],
    select: Select,
    stores_of: Callable[..., Any],
    reordered: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores = stores_of(count, seed=3)
    stores = reordered(stores, np.argsort(stores["tokens"].signals["id"].to_numpy()))
    monkeypatch.setattr(neighbours_module, "CHUNK", 4 * count)
    names = ("representativeness", "diversity", "similarity")
    table, _ = select("grads", "0.5", stores, **dict(zip(names, weights, strict=True)))
    kept = int(table["kept"].sum())
    assert table["id"][:kept].tolist() == brute_force(stores, kept, weights, neighbours=10)


def test_diversity_uses_all_others_when_there_are_fewer_than_asked() -> None:
    vectors = Vectors(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert diversity(vectors, 10, exact=True).tolist() == [0.5, 1.0, 0.5]
    assert diversity(vectors, 1, exact=True).tolist() == [0.0, 1.0, 0.0]
    assert diversity(vectors.ordered([0]), 10, exact=True).tolist() == [0.0]


def test_rounding_does_not_decide_between_equals() -> None:
    assert rank_share(np.array([1.0, 1.0 + 1e-9])).tolist() == [0.75, 0.75]


def test_rank_share_averages_ties() -> None:
    assert rank_share(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [0.875, 0.25, 0.875, 0.5]


def test_record_without_gradient_takes_the_smallest_magnitude_and_is_counted() -> None:
    values = {"l2": [0.0, 2.0, 4.0], "max": [0.0, 1.0, 2.0], "min": [0.0, -1.0, -1.0]}
    frame = pd.DataFrame(
        {f"{matrix}_{name}": column for matrix in ("embedding", "head") for name, column in values.items()}
    )
    columns, without = magnitude_columns(frame, ["embedding", "head"])
    assert without == 1
    np.testing.assert_allclose(columns["head_log_l2"], np.log([2.0, 2.0, 4.0]))
    np.testing.assert_allclose(columns["head_asymmetry"], [0.0, 0.0, 1 / 3])


def test_all_columns_constant_leaves_none() -> None:
    assert usable_columns({"x": np.ones(3), "y": np.zeros(3)}) == ([], {"x": "constant", "y": "constant"})


def test_weights_of_which_none_counts_are_refused() -> None:
    with pytest.raises(GradsError, match="all three weights are 0"):
        parse_parameters(METHOD, dict.fromkeys(("representativeness", "diversity", "similarity"), 0.0))


def test_the_four_statistics_of_the_digest(select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(40)
    warm = stores["warm"].signals
    names = ["max", "min", "mean", "std"]
    # The head's mean is 0 for all: seven columns are left. Units do not matter to a density's order.
    columns = [warm[f"{layer}_{name}"] for layer in ("embedding", "head") for name in names]
    columns = [column / warm[column.name.partition("_")[0] + "_std"].mean() for column in columns if column.any()]
    rep = pd.Series(np.mean([gaussian_kde(column).logpdf(column) for column in columns], axis=0), index=warm["id"])
    table, meta = select("grads", "1", stores, diversity=0.0, similarity=0.0, statistics=names)
    assert table["id"].tolist() == rep.sort_values(ascending=False).index.tolist()
    assert meta["notes"]["dropped_columns"] == {"head_mean": "constant"}


def test_the_unit_of_the_gradients_does_not_matter(select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(40)
    warm = stores["warm"].signals
    numbers = [name for name in warm.columns if name.startswith(("embedding_", "head_"))]
    scaled = {**stores, "warm": type(stores["warm"])(warm.assign(**(1e-6 * warm[numbers])), stores["warm"].features)}
    for given in ({}, {"statistics": ["max", "min", "mean", "std"]}, {"magnitude": 1.0}):
        expected, _ = select("grads", "0.5", stores, **given)
        found, meta = select("grads", "0.5", scaled, **given)
        assert found["id"].tolist() == expected["id"].tolist()
        assert len(meta["notes"]["columns"]) >= 6


def test_magnitude_alone_takes_the_largest_gradients(select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(30)
    given = {"representativeness": 0.0, "diversity": 0.0, "similarity": 0.0, "magnitude": 2.0}
    table, _ = select("grads", "0.5", stores, **given)
    highest, _ = select("grads_density", "0.5", stores, rule="highest")
    assert table["id"].tolist() == highest["id"].tolist()


@pytest.mark.parametrize("measure", ["mean_distance", "log_det"])
def test_a_diversity_of_the_subset(measure: str, select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(20)
    directions = np.asarray(stores["base"].features["hidden"].unit, dtype=float)
    table, _ = select("grads", "0.5", stores, representativeness=0.0, similarity=0.0, diversity_measure=measure)
    kept = stores["tokens"].signals["id"].isin(table["id"][table["kept"]]).to_numpy()

    def value(rows: np.ndarray) -> float:
        if measure == "mean_distance":
            return -float((rows @ rows.T).mean())
        return float(np.linalg.slogdet(np.eye(len(rows)) + 10 * rows @ rows.T)[1])

    random = np.random.default_rng(0)
    draws = [value(directions[random.permutation(20)[:10]]) for _ in range(200)]
    assert value(directions[kept]) > np.quantile(draws, 0.95)
    smaller, _ = select("grads", "0.2", stores, representativeness=0.0, similarity=0.0, diversity_measure=measure)
    assert smaller["id"][:4].tolist() == table["id"][:4].tolist()


def test_records_can_be_compared_by_their_gradients(select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(30)
    hidden = Vectors(stores["base"].features["hidden"].directions, stores["base"].features["hidden"].norms)
    expected, _ = select("grads", "0.5", stores)
    moved = {**stores, "warm": type(stores["warm"])(stores["warm"].signals, {"sgd_features": hidden})}
    found, _ = select("grads", "0.5", moved, content="gradients")
    assert found.equals(expected)
    assert METHOD.needs(parse_parameters(METHOD, {"content": "gradients"})).stores == {
        "warm": {"gradients", "sgd_features"}
    }


def test_all_weights_have_a_norm_alone(select: Select, stores_of: Callable[..., Any]) -> None:
    stores = stores_of(30)
    warm = stores["warm"].signals.assign(weights_l2=stores["warm"].signals["embedding_l2"])
    of_weights = {**stores, "warm": type(stores["warm"])(warm)}
    expected, _ = select("grads", "0.5", stores, layers=["embedding"], statistics=["log_l2"])
    found, meta = select("grads", "0.5", of_weights, layers=["weights"])
    assert found.equals(expected)
    assert meta["notes"]["columns"] == ["weights_log_l2"]


def test_the_cut_by_score_ends_where_the_score_falls_below_the_mean(
    hand_made: dict[str, HandStore], select: Select
) -> None:
    # All four are chosen with 1.1875, 1.1875, 0.6875, 0.1875 (see above), mean 0.8125.
    table, meta = select("grads", "auto", hand_made, neighbours=1, cut="score")
    assert meta["requested"] == 2
    assert table["id"][table["kept"]].tolist() == ["b", "c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"content": "gradients", "encoder": "minilm"}, "has no encoder"),
        ({"content": "gradients", "point": "during"}, "no projected gradients at 'during'"),
        ({"layers": ["weights"], "statistics": ["max"]}, "there is log_l2 alone"),
        ({"statistics": ["max", "max"]}, "listed twice"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(GradsError, match=message):
        parse_parameters(METHOD, given)
