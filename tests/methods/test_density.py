"""Kernel densities against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from grads.methods import density as module
from grads.methods.density import density, joint_density


@pytest.mark.parametrize("count", [2, 3, 50, 400])
def test_density_is_that_of_scipy(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(count).lognormal(size=count)
    expected = gaussian_kde(values)(values)
    np.testing.assert_allclose(density(values), expected, rtol=1e-12)
    monkeypatch.setattr(module, "CHUNK", 3 * count)
    np.testing.assert_allclose(density(values), expected, rtol=1e-12)


def test_density_by_hand() -> None:
    bandwidth = 2 * 4 ** (-0.2)
    kernel = math.exp(-0.5 * (4 / bandwidth) ** 2)
    scale = 4 * bandwidth * math.sqrt(2 * math.pi)
    expected = [(3 + kernel) / scale] * 3 + [(1 + 3 * kernel) / scale]
    assert density(np.array([1.0, 1.0, 1.0, 5.0])).tolist() == pytest.approx(expected)


def test_equal_values_have_equal_densities() -> None:
    assert density(np.full(5, 0.1)).tolist() == [1.0] * 5
    assert density(np.array([3.0])).tolist() == [1.0]
    assert density(np.array([])).tolist() == []


def test_far_outlier_keeps_a_positive_density() -> None:
    assert (density(np.array([0.0, 1e-3, 2e-3, 1e9])) > 0).all()


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_joint_density_is_that_of_scipy_up_to_a_factor(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    units = 10.0 ** np.arange(dimensions)
    columns = np.random.default_rng(dimensions).lognormal(size=(60, dimensions)) * units
    factor = joint_density(columns) / gaussian_kde(columns.T)(columns.T)
    np.testing.assert_allclose(factor, factor[0], rtol=1e-9)
    monkeypatch.setattr(module, "CHUNK", 7 * 60)
    np.testing.assert_allclose(joint_density(columns), factor[0] * gaussian_kde(columns.T)(columns.T), rtol=1e-9)


def test_columns_that_say_nothing_new_do_not_change_the_joint_density() -> None:
    columns = np.random.default_rng(0).normal(size=(40, 2))
    more = np.column_stack([columns[:, 0], np.full(40, 7.0), columns, columns @ [2.0, -3.0]])
    np.testing.assert_allclose(joint_density(more), joint_density(columns), rtol=1e-9)
    assert joint_density(np.ones((4, 3))).tolist() == [1.0] * 4
    assert joint_density(np.ones((1, 3))).tolist() == [1.0]
