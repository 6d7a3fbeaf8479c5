"""Kernel density estimates in one and in several dimensions: pair by pair, or on a grid where there are many points."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Entries of the distance matrix that are held at once.
CHUNK = 2**22
# A direction with a smaller share of the standardised columns' variance is rounding of a combination of the others.
DEGENERATE = 1e-9
# More points than these are put on a grid.
EXACT_UP_TO = 5_000
# By the number of dimensions: the grid's longest step in bandwidths, and the fewest and the most steps along a side.
STEP = {1: 1 / 64, 2: 1 / 8}
FEWEST = {1: 2**20, 2: 2**11}
MOST = {1: 2**22, 2: 2**12}
# Bandwidths beyond which the kernel, below 2e-14 there, is taken as 0.
REACH = 8.0


@dataclass(frozen=True)
class Bandwidth:
    """The width of a kernel, in standard deviations of the sample.

    Args:
        fixed: the width; None: Scott's rule, N^(-1/(d+4)) in d dimensions (D. W. Scott, Multivariate Density
            Estimation, 1992, section 6.5.2).
        times: what either is multiplied by.
    """

    fixed: float | None = None
    times: float = 1.0

    def of(self, count: int, dimensions: int) -> float:
        """Return the width for so many points."""
        return self.times * (count ** (-1 / (dimensions + 4)) if self.fixed is None else self.fixed)


SCOTT = Bandwidth()


def density(values: np.ndarray, exact: bool = False, bandwidth: Bandwidth = SCOTT) -> np.ndarray:
    """Return the density of N values at themselves, in 1 / unit of the values.

    Gaussian kernel, as in `scipy.stats.gaussian_kde`. Values that are all equal have no bandwidth: their densities are
    equal too, and 1 is returned for each. Of more than 5,000 values the sum over all pairs is approximated, unless
    `exact`: see `_binned_sums`.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count == 0 or np.ptp(values) == 0:
        return np.ones(count)
    width = values.std(ddof=1) * bandwidth.of(count, dimensions=1)
    return _kernel_sums((values / width)[:, None], exact) / (count * width * np.sqrt(2 * np.pi))


def joint_density(columns: np.ndarray, exact: bool = False, bandwidth: Bandwidth = SCOTT) -> np.ndarray:
    """Return the density of N points (N x d) at themselves, up to a factor that all of them share.

    Gaussian kernel whose covariance is that of the sample times the squared bandwidth, as in
    `scipy.stats.gaussian_kde`; so units do not matter. Columns that are constant or follow from the others span no
    volume: the density is that in the d' directions that vary, with d' in the bandwidth. If none varies, it is 1. Of
    more than 5,000 points in one or two such directions the sum over all pairs is approximated, unless `exact`; in
    more directions it is always exact, and time grows with N^2.
    """
    columns = np.asarray(columns, dtype=float)
    count = len(columns)
    if np.isnan(columns).any():
        return np.full(count, np.nan)  # A point has no place, so that no density is known.
    varying = columns[:, np.ptp(columns, axis=0) > 0] if count else columns[:, :0]
    if varying.shape[1] == 0:
        return np.ones(count)
    standard = (varying - varying.mean(axis=0)) / varying.std(axis=0, ddof=1)
    variances, axes = np.linalg.eigh(standard.T @ standard / (count - 1))
    kept = variances > DEGENERATE * variances.sum()
    white = standard @ axes[:, kept] / np.sqrt(variances[kept])
    dimensions = int(kept.sum())
    width = bandwidth.of(count, dimensions)
    return _kernel_sums(white / width, exact) / (count * (width * np.sqrt(2 * np.pi)) ** dimensions)


def _kernel_sums(scaled: np.ndarray, exact: bool) -> np.ndarray:
    """Return for each of N points (N x d) the sum over all points of exp(-distance^2 / 2)."""
    if exact or len(scaled) <= EXACT_UP_TO or scaled.shape[1] not in STEP or not np.isfinite(scaled).all():
        return _exact_sums(scaled)
    return _binned_sums(scaled)


def _exact_sums(scaled: np.ndarray) -> np.ndarray:
    count = len(scaled)
    total = np.empty(count)
    step = max(1, CHUNK // count)
    for start in range(0, count, step):
        squared = sum((column[start : start + step, None] - column[None, :]) ** 2 for column in scaled.T)
        total[start : start + step] = np.exp(-0.5 * squared).sum(axis=1)
    return total


def _binned_sums(scaled: np.ndarray) -> np.ndarray:
    """Return the same, approximately, in time that grows with N: linear binning, convolution by FFT, interpolation.

    M. P. Wand, Fast Computation of Multivariate Kernel Estimators, Journal of Computational and Graphical Statistics
    3(4), 1994. Points too far out for the grid are summed over their neighbours, without it.
    """
    from scipy.signal import oaconvolve

    dimensions = scaled.shape[1]
    half = STEP[dimensions] * MOST[dimensions] / 2 - REACH
    centred = scaled - scaled.mean(axis=0)
    distance = np.abs(centred).max(axis=1)
    inside = distance <= half
    # Points that lie just outside count for those at the grid's border.
    binned = centred[distance <= half + REACH]
    low = binned.min(axis=0)
    spread = np.ptp(binned, axis=0)
    step = min(STEP[dimensions], spread.max() / FEWEST[dimensions]) or STEP[dimensions]
    sizes = np.floor(spread / step).astype(int) + 2
    grid = np.zeros(int(sizes.prod()))
    for cells, weights in _corners((binned - low) / step, sizes):
        grid += np.bincount(cells, weights, minlength=len(grid))
    grid = grid.reshape(sizes)
    taps = int(np.ceil(REACH / step))
    kernel = np.exp(-0.5 * (np.arange(-taps, taps + 1) * step) ** 2)
    for axis in range(dimensions):
        along = kernel.reshape([-1 if other == axis else 1 for other in range(dimensions)])
        grid = oaconvolve(grid, along, mode="same", axes=axis)
    total = np.zeros(len(scaled))
    for cells, weights in _corners((centred[inside] - low) / step, sizes):
        total[inside] += weights * grid.ravel()[cells]
    if not inside.all():
        total[~inside] = _neighbour_sums(centred[~inside], centred[distance > half - REACH])
    return total


def _corners(places: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the cells at each corner around N places (N x d, in steps), and their weights in a linear interpolation."""
    base = np.floor(places).astype(int)
    part = places - base
    for corner in itertools.product((0, 1), repeat=places.shape[1]):
        weights = np.where(np.array(corner) == 1, part, 1 - part).prod(axis=1)
        yield np.ravel_multi_index(tuple((base + corner).T), tuple(sizes)), weights


def _neighbour_sums(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    pairs = cKDTree(points).sparse_distance_matrix(cKDTree(others), REACH, output_type="ndarray")
    return np.bincount(pairs["i"], np.exp(-0.5 * pairs["v"] ** 2), minlength=len(points))
