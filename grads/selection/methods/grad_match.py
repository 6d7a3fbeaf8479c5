"""`grad_match`: a weighted subset whose gradients add up to those of all (GRAD-MATCH).

Minimises |sum over S of w_i g_i - b|^2 + lambda |w|^2 over w >= 0 and |S| <= k, with b the sum of all training
gradients, or of the validation gradients. Orthogonal matching pursuit: take the record whose gradient goes best with
the residual, refit all weights by ridge regression, drop those that are negative (the most negative first, refitting
each time), and again, until k are taken, the residual is below `epsilon` |b|, or no gradient goes with it. What is
missing is filled with random records of weight 1. The strategy `weighted` trains with the weights; `effective_records`
in the notes, (sum of w)^2 / sum of w^2, says how many records of equal weight they amount to.

Certain: all of that is the paper and its code (CORDS). Lambda 0.5 and epsilon 1e-100 are those of the code's example
configs, which run on a GPU; its defaults are 0 and 1e-4, and on a CPU it sets these whatever is asked. `ridge: 1.0e-6`
with `epsilon: 1.0e-4` comes to that, and chose 73 to 98 % of the records that the defaults here choose.

Ours:

- g: the projected gradients of the adapter, once, where the paper takes the last layer's again and again during
  training; in units of the training gradients' root mean square length, so that lambda does not depend on their scale.
- Weights above `largest_weight` times the mean of the pursued ones are cut to that, so that no record rules an epoch.
- The first weight is fitted by ridge regression, too (the code fits that one without lambda). A record is taken once,
  and the pursuit goes on. In the code a record may be the best again: one of its solvers then takes it twice, as
  another row of the fit, the others stop there, with as few as 14 of 90 records. Dropped ones may come back, in 2 k
  rounds at most. Records that go equally well with the residual, to six digits, are taken by id.
- Random parts of the pool as in PGM (arXiv 2210.16892): each matches its own sum, or the validation gradients' sum, and
  gives its share; in the order of choice, the first of every part, then the second. `partitions: 1` is the paper's.

The score is the product of gradient and residual that a record was chosen by, or has at the end, divided by |b|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.selection.algorithms.partitions import Partitions
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import FeaturePoint
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

# Records of a part at most, where `partitions` is `auto`.
PART = 25_000
# Products of gradients with the residual that differ by less, as a share of the largest, are equal.
EQUAL = 1e-6
# Decimals of the score of a record that was not taken; what lies below is rounding.
DECIMALS = 6


class GradMatch(Parameters):
    """Parameters of `grad_match`; `ridge` and `epsilon` are those of the authors' example configs."""

    target: Literal["train", "validation"] = Field("train", description="Whose gradients' sum is matched.")
    point: FeaturePoint = Field("warm", description="Whose gradients: after the preliminary epoch, or untrained.")
    ridge: float = Field(0.5, gt=0, description="Lambda, for gradients of length 1 in the root mean square.")
    epsilon: float = Field(1e-100, ge=0, description="Residual at which to stop, as a share of the target.")
    fill: bool = Field(True, description="Whether random records of weight 1 take the places that are left.")
    largest_weight: float = Field(10.0, ge=1, description="In means of the weights found; larger ones are cut to it.")
    partitions: Partitions = Field("auto", description=f"Parts of the pool; auto: of {PART} records and 1 GiB at most.")


def needs(parameters: GradMatch) -> Needs:
    """Return the need of the training records' gradients, and of the validation records' if they are matched."""
    stores = [parameters.point, f"{parameters.point}-validation"][: 1 + uses_target(parameters)]
    return Needs({store: frozenset({"sgd_features"}) for store in stores})


def uses_target(parameters: GradMatch) -> bool:
    """Return whether validation records are seen."""
    return parameters.target == "validation"


def in_parts(parameters: GradMatch) -> bool:
    """Return whether no part's gradients are larger than `within_memory` allows."""
    return parameters.partitions == "auto"


@dataclass(frozen=True)
class Candidates:
    """What the pursuit of one part chooses from: groups of its records, each taken whole.

    Args:
        gradients: G x d float32, the sum over each group.
        groups: the G groups, positions in the pool, each record in one of them.
        unit: length that gradients are divided by, so that `ridge` does not depend on their scale.
    """

    gradients: np.ndarray
    groups: Sequence[np.ndarray]
    unit: float


def select(inputs: Inputs, parameters: GradMatch) -> Choice:
    """Match each part's records, then fill."""
    vectors = inputs.features[parameters.point]["sgd_features"]
    unit = root_mean_square(vectors.chunks())

    def single_records(part: np.ndarray) -> Candidates:
        return Candidates(vectors[part], list(part[:, None]), unit)

    return match_parts(inputs, parameters, METHOD.name, single_records)


def match_parts(
    inputs: Inputs, parameters: GradMatch, method: str, candidates: Callable[[np.ndarray], Candidates]
) -> Choice:
    """Match in each part, then fill.

    Args:
        inputs: of the method.
        parameters: its own.
        method: its name, for errors.
        candidates: what is chosen from, given the positions of a part; no group is larger than the first.
    """
    import numpy as np

    from grads.selection.algorithms.partitions import interleaved, partition, quotas, within_memory

    vectors = inputs.features[parameters.point]["sgd_features"]
    ids = inputs.pool["id"].tolist()
    whole = validation_sum(inputs, parameters.point, method) if uses_target(parameters) else None
    parts = partition(ids, inputs.count, parameters.partitions, within_memory(PART, vectors), inputs.seed)
    score = np.zeros(len(ids))
    weights = np.zeros(len(ids))
    orders = []
    residuals = []
    for part, count in zip(parts, quotas(inputs.count, parts), strict=True):
        found = candidates(part)
        gradients = found.gradients
        gradients /= np.float32(found.unit)
        target = gradients.sum(axis=0, dtype=np.float64) if whole is None else whole / found.unit
        pursuit = Pursuit(gradients, target, parameters.ridge, -(-count // len(found.groups[0])))
        pursuit.run(parameters.epsilon)
        sizes = [len(group) for group in found.groups]
        positions = np.concatenate(found.groups)
        score[positions] = np.repeat(pursuit.score, sizes)
        weights[positions] = np.repeat(pursuit.weights, sizes)
        taken = [found.groups[number] for number in pursuit.active]
        orders.append(np.concatenate([part[:0], *taken])[:count])
        residuals.append(pursuit.residual)
    order = interleaved(orders)
    notes = {"partitions": len(parts), "matched": len(order), "residual": round(float(np.mean(residuals)), 6)}
    weights[order] = np.minimum(weights[order], parameters.largest_weight * weights[order].mean() if len(order) else 0)
    filling = others(inputs, order) if parameters.fill else order[:0]
    weights[filling] = 1.0
    return Choice(score, np.concatenate([order, filling]), notes, weights)


def root_mean_square(chunks: Iterable[np.ndarray]) -> float:
    """Return the root mean square length of N vectors in chunks of rows, 1 if all are 0."""
    import numpy as np

    squares = 0.0
    count = 0
    for chunk in chunks:
        squares += float(np.square(chunk, dtype=np.float64).sum())
        count += len(chunk)
    return float(np.sqrt(squares / count)) or 1.0


def validation_sum(inputs: Inputs, point: FeaturePoint, method: str) -> np.ndarray:
    """Return the sum of the validation records' gradients, d float64; `method` is who asks.

    Raises:
        GradsError: there is none.
    """
    from grads.runtime.errors import GradsError

    vectors = inputs.features[f"{point}-validation"]["sgd_features"]
    if not len(vectors):
        raise GradsError(f"method '{method}' has no validation record to match: set target to train, or add a split")
    return vectors.mean() * len(vectors)


def others(inputs: Inputs, order: np.ndarray) -> np.ndarray:
    """Return positions of random records that are not chosen, as many as are missing."""
    import numpy as np

    place = {id_: position for position, id_ in enumerate(inputs.pool["id"])}
    chosen = set(order.tolist())
    drawn = (place[id_] for id_ in shuffled_ids(inputs.pool["id"], own_seed(inputs.seed, "grad_match")))
    return np.array([record for record in drawn if record not in chosen][: inputs.count - len(order)], dtype=int)


class Pursuit:
    """Orthogonal matching pursuit of a target by up to k gradients of N records, by ridge regression, weights >= 0.

    A round costs the products of all N gradients with the residual, N d, and a change of the regression: d^2, or
    k d + k^2 where k is less than d.

    Args:
        gradients: N x d float32.
        target: d float64.
        ridge: lambda, above 0.
        count: k.

    Attributes:
        residual: its length as a share of the target's.
        score: products of the N gradients with the residual, as a share of the target's length.
    """

    def __init__(self, gradients: np.ndarray, target: np.ndarray, ridge: float, count: int) -> None:
        import numpy as np

        from grads.selection.algorithms.ridge import ridge_of

        self.gradients = gradients
        self.count = count
        self.length = float(np.linalg.norm(target)) or 1.0
        self.taken = np.zeros(len(gradients), dtype=bool)
        self.fit = ridge_of(gradients, target, ridge, count)
        self.residual, self.score = self._left()

    @property
    def active(self) -> list[int]:
        """Positions of the records taken, in the order of choice."""
        return self.fit.active

    @property
    def weights(self) -> np.ndarray:
        """Weights of all N records, 0 of those not taken."""
        import numpy as np

        weights = np.zeros(len(self.gradients))
        weights[self.active] = self.fit.weights()
        return np.maximum(weights, 0.0)

    def run(self, epsilon: float) -> None:
        """Take records as long as there is something to gain and room, in 2 k rounds at most."""
        import numpy as np

        reasons = np.zeros(len(self.gradients))
        for _ in range(2 * self.count):
            best = self._best()
            if best is None or len(self.active) == self.count or self.residual < epsilon:
                break
            reasons[best] = self.score[best]
            self.fit.take(best)
            self.taken[best] = True
            self._drop_negative()
            self.residual, self.score = self._left()
        self.fit.renew()
        self.residual, score = self._left()
        self.score = np.where(self.taken, reasons, np.round(score, DECIMALS))

    def _best(self) -> int | None:
        """Return the open record that goes best with the residual, the first of equals; None if none goes with it."""
        import numpy as np

        score = np.where(self.taken, 0.0, self.score)
        largest = float(score.max(initial=0.0))
        return int(np.argmax(score >= largest - EQUAL * largest)) if largest > 0 else None

    def _drop_negative(self) -> None:
        import numpy as np

        while True:
            weights = self.fit.weights()
            worst = int(np.argmin(weights))
            if weights[worst] >= 0:
                return
            self.taken[self.active[worst]] = False
            self.fit.drop(worst)

    def _left(self) -> tuple[float, np.ndarray]:
        """Return the length of the residual, and the N products with it, as shares of the target's length."""
        import numpy as np

        left = self.fit.residual()
        products = (self.gradients @ left.astype(np.float32)).astype(float)
        return float(np.linalg.norm(left)) / self.length, products / self.length


METHOD = Method(
    name="grad_match",
    title="GRAD-MATCH",
    source="arXiv 2103.00123, algorithms 1 and 2; code decile-team/cords @8d10c7f",
    select=select,
    parameters=GradMatch,
    needs=needs,
    uses_target=uses_target,
    nested=False,
    in_parts=in_parts,
)
