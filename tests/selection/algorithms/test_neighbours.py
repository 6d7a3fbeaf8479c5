"""Nearest neighbours against brute force and scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from grads.selection.algorithms import neighbours
from grads.selection.algorithms.neighbours import cosines_with, nearest, unit_matrix, unit_rows
from grads.signals.vectors import Vectors, split_lengths


def made(count: int, dimensions: int = 8, seed: int = 0) -> Vectors:
    """Return vectors around 20 centres, of lengths over three orders."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(20, dimensions))
    rows = centres[random.integers(20, size=count)] + 0.3 * random.normal(size=(count, dimensions))
    return Vectors(*split_lengths(rows * 10.0 ** random.uniform(-2, 1, size=(count, 1))))


@pytest.mark.parametrize("chunk", [1, 300, 2**22])
def test_exact_neighbours_are_those_of_scikit_learn(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    vectors = made(90)
    cosines, places = nearest(vectors, 7)
    distances, expected = NearestNeighbors(n_neighbors=7, metric="cosine").fit(np.asarray(vectors)).kneighbors()
    np.testing.assert_allclose(cosines, 1 - distances, atol=2e-6)
    assert (places == expected).mean() > 0.99  # Cosines may be equal to six decimals.


def test_equal_neighbours_come_by_position() -> None:
    vectors = Vectors(*split_lengths(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [5.0, 0.0], [0.0, 0.0]])))
    cosines, places = nearest(vectors, 3)
    assert places.tolist() == [[1, 2, 3], [2, 3, 0], [1, 3, 0], [1, 2, 0], [0, 1, 2]]
    assert cosines.tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(("count", "asked", "width"), [(1, 3, 0), (2, 3, 1), (5, 0, 0), (5, 9, 4)])
def test_there_are_at_most_all_the_others(count: int, asked: int, width: int) -> None:
    cosines, places = nearest(made(count), asked)
    assert cosines.shape == places.shape == (count, width)
    assert not (places == np.arange(count)[:, None]).any()


def test_the_index_finds_nearly_what_blocks_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SMALL", 100)
    vectors = made(3000, 16)
    cosines, places = nearest(vectors, 10)
    exact, expected = nearest(vectors, 10, exact=True)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(places, expected, strict=True)]) > 9
    assert (cosines <= exact + 1e-3).all()
    assert not (places == np.arange(3000)[:, None]).any()
    again = nearest(vectors, 10)
    assert np.array_equal(places, again[1])
    directions = unit_matrix(vectors)
    np.testing.assert_allclose(cosines, np.einsum("nd,nkd->nk", directions, directions[places]), atol=1e-3)


def test_lists_that_hold_too_few_are_left_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SMALL", 100)
    vectors = made(400)
    cosines, places = nearest(vectors, 399)
    assert (np.sort(places, axis=1) == np.sort(nearest(vectors, 399, exact=True)[1], axis=1)).all()
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_rows_of_zeros_stay() -> None:
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
    vectors = made(50)
    np.testing.assert_allclose(np.linalg.norm(unit_matrix(vectors), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("first", ["faiss", "torch"])
def test_faiss_and_torch_live_in_one_process(first: str) -> None:
    second = "torch" if first == "faiss" else "faiss"
    code = (
        f"import {first}; import {second}; import faiss, numpy as np, torch\n"
        "a = np.random.default_rng(0).normal(size=(300, 64)).astype('float32')\n"
        "index = faiss.IndexFlatIP(64); index.add(a); found, _ = index.search(a, 1)\n"
        "t = torch.from_numpy(a); print(bool(abs((t @ t.T).amax(1).numpy() - found[:, 0]).max() < 1e-3))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True"


def test_the_module_imports_nothing_heavy() -> None:
    code = "import sys, grads.selection.algorithms.neighbours\n"
    code += "print(sorted({'faiss', 'numpy', 'torch'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_cosines_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grads.signals.vectors.CHUNK", 40)
    vectors, others = made(30), unit_rows(np.asarray(made(4, seed=1), dtype=float))
    expected = cosine_similarity(np.asarray(vectors), others)
    np.testing.assert_allclose(cosines_with(vectors, others), expected, atol=1e-3)
    np.testing.assert_allclose(cosines_with(vectors, others.mean(axis=0)), expected.mean(axis=1), atol=1e-3)
    zeros = Vectors(*split_lengths(np.zeros((2, 8))))
    assert not np.signbit(cosines_with(zeros, -others)).any()
