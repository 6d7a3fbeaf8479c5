"""One-dimensional kernel density estimates."""

import numpy as np

# Entries of the distance matrix that are held at once.
CHUNK = 2**22


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
    scaled = values / bandwidth
    total = np.empty(count)
    step = max(1, CHUNK // count)
    for start in range(0, count, step):
        distance = scaled[start : start + step, None] - scaled[None, :]
        total[start : start + step] = np.exp(-0.5 * distance**2).sum(axis=1)
    return total / (count * bandwidth * np.sqrt(2 * np.pi))
