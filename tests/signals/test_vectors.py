import numpy as np
import pytest

from grads.signals import vectors as module
from grads.signals.vectors import Vectors, split_lengths

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e12])
def test_vectors_of_any_length_survive_half_precision(scale):
    given = (RANDOM.normal(size=(7, 300)) * scale).astype(np.float32)
    directions, norms = split_lengths(given)
    found = np.asarray(Vectors(directions, norms))
    assert (directions.dtype, found.dtype) == (np.float16, np.float32)
    np.testing.assert_allclose(found, given, rtol=2**-11, atol=3e-8 * scale * 20)
    np.testing.assert_allclose(np.linalg.norm(Vectors(directions, norms).unit[:], axis=1), 1, rtol=1e-3)


def test_vectors_of_zeros_and_of_no_numbers():
    directions, norms = split_lengths(np.array([[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]], dtype=np.float32))
    assert directions[0].tolist() == [0, 0]
    assert norms[0] == 0
    assert not np.isfinite(norms[1:]).any()


def test_order_and_rows_are_those_asked_for():
    whole = Vectors(np.eye(4, dtype=np.float16), np.arange(1.0, 5.0))
    turned = whole.ordered([3, 1, 0])
    assert turned.shape == (3, 4)
    assert np.asarray(turned).tolist() == [[0, 0, 0, 4], [0, 2, 0, 0], [1, 0, 0, 0]]
    assert turned.ordered([2])[:].tolist() == [[1, 0, 0, 0]]
    assert turned[np.array([1])].tolist() == [[0, 2, 0, 0]]
    assert turned.unit[:1].tolist() == [[0, 0, 0, 1]]


def test_the_mean_is_that_of_the_scaled_rows_whatever_the_chunks(monkeypatch):
    given = RANDOM.normal(size=(9, 5)).astype(np.float32)
    vectors = Vectors(*split_lengths(given))
    whole = vectors.mean()
    np.testing.assert_allclose(whole, given.mean(axis=0), atol=1e-3)
    monkeypatch.setattr(module, "CHUNK", 10)
    assert [len(chunk) for chunk in vectors.chunks()] == [2, 2, 2, 2, 1]
    np.testing.assert_allclose(vectors.mean(), whole, rtol=1e-12)
    with pytest.raises(ValueError, match="no vectors"):
        vectors.ordered([]).mean()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_reading_leaves_what_lies_on_disk_alone(dtype, tmp_path):
    np.save(tmp_path / "directions.npy", np.eye(3, dtype=dtype))
    directions = np.load(tmp_path / "directions.npy", mmap_mode="r")
    vectors = Vectors(directions, np.array([2.0, 3.0, 4.0]))
    for _ in range(2):
        assert vectors[np.array([2, 0])].tolist() == [[0, 0, 4], [2, 0, 0]]
        assert vectors[:2].tolist() == [[2, 0, 0], [0, 3, 0]]
