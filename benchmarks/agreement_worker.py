"""What packages of the index choose and score, run in their own environment: `agreement_worker.py ASKED ANSWERED`."""

import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Asked = dict[str, Any]

PACKAGES = ("apricot-select", "submodlib-py", "bm25s", "rank-bm25", "data-selection", "scikit-learn", "scipy")


def versions(_asked: Asked) -> dict[str, str]:
    """Return the version of each package."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def facility_location(asked: Asked) -> list[list[list[int]]]:
    """Return, for each of some matters and each of its counts, the positions that greedy facility location chooses."""
    choose = apricot if asked["package"] == "apricot-select" else submodlib
    return [[choose(np.array(one["points"]), one["similarity"], count) for count in one["counts"]]
            for one in asked["asked"]]  # fmt: skip


def nearness(points: np.ndarray) -> np.ndarray:
    """Return c - |x - y| of all pairs, c being the largest distance."""
    from sklearn.metrics.pairwise import euclidean_distances

    distances = euclidean_distances(points)
    np.fill_diagonal(distances, 0.0)
    return distances.max() - distances


def apricot(points: np.ndarray, _similarity: str, count: int) -> list[int]:
    """Return what apricot's greedy choice takes."""
    from apricot import FacilityLocationSelection

    selection = FacilityLocationSelection(count, metric="precomputed", optimizer="naive")
    return [int(position) for position in selection.fit(nearness(points)).ranking]


def submodlib(points: np.ndarray, similarity: str, count: int) -> list[int]:
    """Return what submodlib's greedy choice takes: by a matrix of similarities, or by its own Euclidean kernel."""
    from submodlib.functions.facilityLocation import FacilityLocationFunction

    given: dict[str, Any] = {"data": points, "metric": "euclidean"}
    if similarity != "authors":
        given = {"sijs": nearness(points), "separate_rep": False}
    function = FacilityLocationFunction(n=len(points), mode="dense", **given)
    greedy = function.maximize(
        budget=count,
        optimizer="NaiveGreedy",
        stopIfZeroGain=False,
        stopIfNegativeGain=False,
        verbose=False,
        show_progress=False,
    )
    return [int(position) for position, _gain in greedy]


def bm25(asked: Asked) -> list[list[float]]:
    """Return N x Q scores of documents for queries, both lists of words."""
    documents, queries = asked["documents"], asked["queries"]
    if asked["package"] == "rank-bm25":
        from rank_bm25 import BM25Okapi

        okapi = BM25Okapi(documents)
        return np.array([okapi.get_scores(query) for query in queries]).T.tolist()
    import bm25s

    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(documents, show_progress=False)
    return np.array([index.get_scores(query) for query in queries], dtype=float).T.tolist()


def dsir(asked: Asked) -> list[float]:
    """Return N log-weights of texts."""
    from data_selection import HashedNgramDSIR

    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name in ("train", "target"):
            files[name] = Path(folder) / f"{name}.jsonl"
            files[name].write_text("".join(json.dumps({"text": text}) + "\n" for text in asked[name]), encoding="utf-8")
        selector = HashedNgramDSIR(
            [str(files["train"])],
            [str(files["target"])],
            cache_dir=str(Path(folder) / "cache"),
            num_proc=1,
            min_example_length=0,
        )
        selector.fit_importance_estimator(num_tokens_to_fit="all")
        selector.compute_importance_weights()
        found = [np.load(path) for path in sorted((Path(folder) / "cache").rglob("*.npy")) if "log" in str(path)]
    return found[0].tolist()


def density(asked: Asked) -> list[float]:
    """Return the densities at N values."""
    values = np.array(asked["values"])
    if asked["package"] == "scipy":
        from scipy.stats import gaussian_kde

        return gaussian_kde(values)(values).tolist()
    from sklearn.neighbors import KernelDensity

    bandwidth = len(values) ** -0.2 * values.std(ddof=1)
    return np.exp(KernelDensity(bandwidth=bandwidth).fit(values[:, None]).score_samples(values[:, None])).tolist()


def cosines(asked: Asked) -> list[list[float]]:
    """Return N x Q cosines."""
    from sklearn.metrics.pairwise import cosine_similarity

    return cosine_similarity(np.array(asked["points"]), np.array(asked["targets"])).tolist()


TASKS: dict[str, Callable[[Asked], Any]] = {
    one.__name__: one for one in (versions, facility_location, bm25, dsir, density, cosines)
}


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(TASKS[request["task"]](request)), encoding="utf-8")
