"""Clusters of points by k-means."""

import numpy as np

ITERATIONS = 20


def clusters_of(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return the cluster of each of N x d points, numbered from 0 without gaps."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    different = len(np.unique(points, axis=0))
    means = KMeans(min(clusters, different), n_init=1, max_iter=ITERATIONS, tol=0.0, random_state=seed)
    with threadpool_limits(1):  # Threads would add up in an order of their own each time.
        found = means.fit_predict(points.astype(np.float64))
    numbered: np.ndarray = np.unique(found, return_inverse=True)[1]
    return numbered
