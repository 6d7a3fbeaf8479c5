"""Kernel density estimates in one and in several dimensions."""

import numpy as np

# Entries of the distance matrix that are held at once.
CHUNK = 2**22
# A direction with a smaller share of the standardised columns' variance is rounding of a combination of the others.
DEGENERATE = 1e-9


def density(values: np.ndarray) -> np.ndarray:
    """Return the density of N values at themselves, in 1 / unit of the values.

    Gaussian kernel; bandwidth by Scott's rule, sample standard deviation times N^(-1/5) (D. W. Scott, Multivariate
    Density Estimation, 1992, section 6.5.2), as in `scipy.stats.gaussian_kde`. Values that are all equal have no
    bandwidth: their densities are equal too, and 1 is returned for each.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count == 0 or np.ptp(values) == 0:
        return np.ones(count)
    bandwidth = values.std(ddof=1) * count ** (-0.2)
    return _kernel_sums((values / bandwidth)[:, None]) / (count * bandwidth * np.sqrt(2 * np.pi))


def joint_density(columns: np.ndarray) -> np.ndarray:
    """Return the density of N points (N x d) at themselves, up to a factor that all of them share.

    Gaussian kernel whose covariance is that of the sample times N^(-2/(d+4)), Scott's rule, as in
    `scipy.stats.gaussian_kde`; so units do not matter. Columns that are constant or follow from the others span no
    volume: the density is that in the d' directions that vary, with d' in the bandwidth. If none varies, it is 1.
    """
    columns = np.asarray(columns, dtype=float)
    count = len(columns)
    varying = columns[:, np.ptp(columns, axis=0) > 0] if count else columns[:, :0]
    if varying.shape[1] == 0:
        return np.ones(count)
    standard = (varying - varying.mean(axis=0)) / varying.std(axis=0, ddof=1)
    variances, axes = np.linalg.eigh(standard.T @ standard / (count - 1))
    kept = variances > DEGENERATE * variances.sum()
    white = standard @ axes[:, kept] / np.sqrt(variances[kept])
    dimensions = int(kept.sum())
    bandwidth = count ** (-1 / (dimensions + 4))
    return _kernel_sums(white / bandwidth) / (count * (bandwidth * np.sqrt(2 * np.pi)) ** dimensions)


def _kernel_sums(scaled: np.ndarray) -> np.ndarray:
    """Return for each of N points (N x d) the sum over all points of exp(-distance^2 / 2)."""
    count = len(scaled)
    total = np.empty(count)
    step = max(1, CHUNK // count)
    for start in range(0, count, step):
        squared = sum((column[start : start + step, None] - column[None, :]) ** 2 for column in scaled.T)
        total[start : start + step] = np.exp(-0.5 * squared).sum(axis=1)
    return total
