"""Greedy choice by a fixed score and the largest similarity to what is chosen, lazily, with the plain loop's result."""

import numpy as np

# Decimals of similarities that count; what lies below is rounding, and must not decide between equals.
DECIMALS = 6
# Records whose similarities are brought up to date together, and similarities that are held at once.
BATCH = 64
CHUNK = 2**24


class Lazy:
    """Scores of N records, fixed - weight x largest similarity to those chosen, each as of some earlier choice.

    A score only falls as more are chosen, so an old one is an upper bound, and a record whose bound is below another's
    true score needs no look (M. Minoux, Accelerated greedy algorithms, 1978). Records that do need one are taken
    together: products of matrices are many times as fast as as many products with a vector.

    Args:
        fixed: N scores.
        rows: N x d; the similarity of record i to a chosen j is rows[i] . columns[j].
        columns: N x d.
        weight: at least 0.
        count: how many will be chosen.
    """

    def __init__(self, fixed: np.ndarray, rows: np.ndarray, columns: np.ndarray, weight: float, count: int) -> None:
        self.fixed = fixed
        self.rows = rows
        self.columns = columns
        self.weight = weight
        self.score = fixed.astype(float)
        self.bound = self.score.copy()
        self.largest = np.full(len(fixed), -np.inf)
        # How many of those chosen each score takes into account.
        self.seen = np.zeros(len(fixed), dtype=int)
        self.order = np.empty(count, dtype=int)
        self.chosen = np.empty((count, columns.shape[1]), dtype=columns.dtype)

    def take(self, step: int, record: int) -> None:
        """Choose a record as the one of a step; from the first on, a similarity counts, which may be negative."""
        self.order[step] = record
        self.chosen[step] = self.columns[record]
        self.bound[record] = -np.inf
        if step == 0:
            self.refresh(np.flatnonzero(self.bound > -np.inf), 1)

    def best(self, step: int) -> int:
        """Return the open record of the highest true score after `step` choices, the first of equals."""
        while True:
            first = int(np.argmax(self.bound))
            if self.seen[first] == step:
                return first
            self.refresh(np.array([first]), step)
            above = np.flatnonzero(self.bound > self.bound[first])
            if len(above) > BATCH:
                above = above[np.argpartition(-self.bound[above], BATCH)[:BATCH]]
            self.refresh(above[self.seen[above] < step], step)

    def refresh(self, records: np.ndarray, step: int) -> None:
        """Bring the scores of open records up to date after `step` choices."""
        age = step - self.seen[records]
        # Those that missed about as many choices together, so that few similarities are taken twice.
        exponents = np.frexp(age)[1]
        for exponent in np.unique(exponents):
            missed = int(age[exponents == exponent].max())
            group = records[exponents == exponent]
            others = self.chosen[step - missed : step].T
            size = max(1, CHUNK // missed)
            for part in (group[start : start + size] for start in range(0, len(group), size)):
                similarity = np.round((self.rows[part] @ others).max(axis=1), DECIMALS)
                self.largest[part] = np.maximum(self.largest[part], similarity)
        self.seen[records] = step
        self.score[records] = self.fixed[records] - self.weight * self.largest[records]
        self.bound[records] = self.score[records]


def lazy_greedy(
    fixed: np.ndarray, rows: np.ndarray, columns: np.ndarray, weight: float, count: int, first: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `count` of N records one by one by fixed score minus weight times the largest similarity to those chosen.

    Args:
        fixed: N scores.
        rows: N x d; the similarity of record i to a chosen j is rows[i] . columns[j], to six decimals.
        columns: N x d.
        weight: at least 0.
        count: at most N.
        first: the record to begin with; None: that of the highest fixed score.

    Returns:
        N scores, those of chosen records as they were chosen, and the positions of these in the order of their choice;
        ties go to the first position.
    """
    if count == 0 or (weight == 0 and first is None):
        return fixed.astype(float), np.argsort(-fixed, kind="stable")[:count]
    state = Lazy(fixed, rows, columns, weight, count)
    state.take(0, int(np.argmax(fixed)) if first is None else first)
    for step in range(1, count):
        state.take(step, state.best(step))
    state.refresh(np.flatnonzero((state.bound > -np.inf) & (state.seen < count)), count)
    return state.score, state.order
