"""Choices and scores of packages of the index on small inputs, kept as they were when `make agreement` last ran.

What each input is, which versions answered and what else was compared: docs/agreement.md.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from grads.selection.contract import Inputs
from grads.selection.methods import bm25, craig, superfiltering
from grads.signals.vectors import Vectors

CASES = json.loads((Path(__file__).parent / "agreement.json").read_text(encoding="utf-8"))


def vector_inputs(store: str, kind: str, points: np.ndarray, count: int, **columns: Any) -> Inputs:
    pool = pd.DataFrame({"id": [f"r{number:03}" for number in range(len(points))]})
    features = {store: {kind: Vectors(points.astype(np.float32))}}
    return Inputs({"tokens": pool, store: pool.assign(**columns)}, features, {}, count, 0)


def objective(points: np.ndarray, chosen: list[int]) -> float:
    distances = cdist(points, points)
    return float((distances.max() - distances)[:, chosen].max(axis=1).sum())


@pytest.mark.parametrize("package", CASES["facility_location"]["orders"])
def test_facility_location_chooses_as_well_as_the_package(package: str) -> None:
    points, theirs = np.array(CASES["facility_location"]["points"]), CASES["facility_location"]["orders"][package]
    found = craig.METHOD.select(vector_inputs("warm", "sgd_features", points, len(theirs)), craig.Craig()).order
    assert found is not None
    ours = found.tolist()
    # Greedy choice: each beginning is as good as theirs, and the first ones, whose gains differ, are the same.
    for length in range(1, len(theirs) + 1):
        assert objective(points, ours[:length]) == pytest.approx(objective(points, theirs[:length]), rel=1e-6)
    assert ours[:3] == theirs[:3]


def test_one_package_breaks_ties_as_we_do() -> None:
    points, theirs = np.array(CASES["facility_location"]["points"]), CASES["facility_location"]["orders"]
    found = craig.METHOD.select(vector_inputs("warm", "sgd_features", points, 8), craig.Craig()).order
    assert found is not None
    assert found.tolist() == theirs["apricot-select"]


def test_superfiltering_chooses_among_all_as_facility_location_does() -> None:
    """Directions alone count there, so the points are made of length 1, in one dimension more."""
    points = np.array(CASES["facility_location"]["points"])
    scaled = points / (2 * np.linalg.norm(points, axis=1).max())
    units = np.concatenate([scaled, np.sqrt(1 - (scaled**2).sum(axis=1, keepdims=True))], axis=1)
    columns = {"response_nll": 0.5, "unconditional_nll": 1.0}
    inputs = vector_inputs("base", "hidden", units, 8, **columns)
    chosen = superfiltering.METHOD.select(inputs, superfiltering.Superfiltering(candidates=10.0)).order
    expected = craig.METHOD.select(vector_inputs("warm", "sgd_features", units, 8), craig.Craig()).order
    assert chosen is not None
    assert expected is not None
    assert chosen.tolist() == expected.tolist()


def table(texts: list[str]) -> pd.DataFrame:
    ids = [f"r{number:03}" for number in range(len(texts))]
    return pd.DataFrame({"id": ids, "instruction": texts, "input": "", "output": ""})


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_bm25_scores_as_the_package_does(aggregate: str) -> None:
    case = CASES["bm25"]
    texts = {split: table(case[name]) for split, name in (("train", "train"), ("validation", "target"))}
    inputs = Inputs({"tokens": texts["train"][["id"]]}, {}, {}, 1, 0, texts)
    found = bm25.METHOD.select(inputs, bm25.Bm25(aggregate=aggregate)).score
    np.testing.assert_allclose(
        found, getattr(np.array(case["scores"]), aggregate)(axis=1), rtol=1e-6
    )  # Theirs is in float32.
