"""Kernel densities against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from grads.selection.algorithms import density as module
from grads.selection.algorithms.density import Bandwidth, density, joint_density


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


def samples(count: int, dimensions: int) -> dict[str, np.ndarray]:
    """Return points of several shapes: as gradient norms are, with far outliers, and in two narrow heaps."""
    random = np.random.default_rng(count)
    heaps = np.concatenate(
        [random.normal(size=(count // 2, dimensions)), 50 + 0.01 * random.normal(size=(count - count // 2, dimensions))]
    )
    return {
        "normal": random.normal(size=(count, dimensions)),
        "lognormal": random.lognormal(size=(count, dimensions)),
        "cauchy": random.standard_cauchy((count, dimensions)),
        "heaps": heaps,
    }


@pytest.mark.parametrize(("name", "error"), [("normal", 1e-8), ("lognormal", 1e-6), ("cauchy", 1e-5), ("heaps", 1e-8)])
def test_many_values_on_a_grid_are_nearly_exact(name: str, error: float) -> None:
    values = samples(module.EXACT_UP_TO + 1, 1)[name][:, 0]
    exact, binned = density(values, exact=True), density(values)
    assert not np.array_equal(exact, binned)
    np.testing.assert_allclose(binned, exact, rtol=error)
    most = len(values) // 20
    assert len(set(np.argsort(-binned)[:most]) & set(np.argsort(-exact)[:most])) >= 0.99 * most


@pytest.mark.parametrize(("name", "error"), [("normal", 1e-3), ("lognormal", 0.01), ("cauchy", 0.05), ("heaps", 0.01)])
def test_many_points_on_a_grid_are_nearly_exact(name: str, error: float) -> None:
    points = samples(module.EXACT_UP_TO + 1, 2)[name]
    np.testing.assert_allclose(joint_density(points), joint_density(points, exact=True), rtol=error)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_points_beyond_the_grid_are_summed_over_their_neighbours(
    dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = samples(600, dimensions)["normal"] * 20
    expected = module._exact_sums(points)
    # A grid of 20 bandwidths to each side: most points lie outside, and there are some at every border.
    monkeypatch.setitem(module.MOST, dimensions, int(2 * 28 / module.STEP[dimensions]))
    assert 100 < (np.abs(points - points.mean(axis=0)).max(axis=1) > 20).sum() < 600
    np.testing.assert_allclose(module._binned_sums(points), expected, rtol=0.01)


def test_a_heap_of_equal_values_and_a_far_one() -> None:
    values = np.zeros(module.EXACT_UP_TO + 1)
    values[7] = 1.0
    np.testing.assert_allclose(density(values), density(values, exact=True), rtol=1e-6)
    both = np.column_stack([values, np.roll(values, 1)])
    np.testing.assert_allclose(joint_density(both), joint_density(both, exact=True), rtol=0.01)


def test_equal_values_have_equal_densities_on_a_grid_in_any_place() -> None:
    values = np.repeat(samples(module.EXACT_UP_TO, 1)["lognormal"][:, 0], 2)
    found = density(values)
    assert (found[::2] == found[1::2]).all()


def test_no_number_gives_no_density() -> None:
    for count in (5, module.EXACT_UP_TO + 1):
        values = np.arange(count, dtype=float)
        values[2] = np.nan
        assert np.isnan(density(values)).any()
        assert np.isnan(joint_density(np.column_stack([values, values**2]))).any()


def test_more_than_two_dimensions_stay_exact() -> None:
    points = samples(module.EXACT_UP_TO + 1, 3)["normal"]
    assert np.array_equal(joint_density(points), joint_density(points, exact=True))


@pytest.mark.parametrize("bandwidth", [Bandwidth(0.1), Bandwidth(0.2, 0.5), Bandwidth(3.0), Bandwidth(None, 2.0)])
def test_widths_are_standard_deviations_of_the_sample(bandwidth: Bandwidth) -> None:
    points = np.random.default_rng(3).lognormal(size=(70, 2))
    for dimensions, found in ((1, density(points[:, 0], bandwidth=bandwidth)), (2, None)):
        columns = points[:, :dimensions]
        width = bandwidth.times * (bandwidth.fixed or 70 ** (-1 / (dimensions + 4)))
        expected = gaussian_kde(columns.T, bw_method=width)(columns.T)
        if found is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-9)
        factor = joint_density(columns, bandwidth=bandwidth) / expected
        np.testing.assert_allclose(factor, factor[0], rtol=1e-9)


@pytest.mark.parametrize("width", [1e-5, 0.01, 2.0])
def test_a_grid_serves_every_width(width: float) -> None:
    values = samples(module.EXACT_UP_TO + 1, 1)["lognormal"][:, 0]
    bandwidth = Bandwidth(width)
    np.testing.assert_allclose(density(values, False, bandwidth), density(values, True, bandwidth), rtol=1e-3)
