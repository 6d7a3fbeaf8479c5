"""`g2is`: G2IS, walks through the graph of training gradients that keep to the main directions of the target's.

Nodes are training records, by the step that Adam would take for them; edges are cosines. The main components of the
validation records' gradients (PCA) say where to go, and each has a share of the records by the variance it explains,
by largest remainders. For each component k, the record nearest to k that nobody has begins, and the nearest
neighbour of the last one follows that

- conflicts with none chosen for k: inner product at least 0,
- keeps the direction: |cos(sum + g, k)| at least `consistency` x |cos(sum, k)|, sum being that of those chosen for k.

If none of the `neighbours` nearest does, the record nearest to k that fulfils both follows; if there is none, the
component ends, and fewer records are chosen than asked for.

Certain: all of that is the authors' code. It keeps the fewest components that explain `share` of the variance, or with
`components: count_ratio` that share of the components.

Ours: each component points to the side of the mean validation gradient, for a component has no side of its own, and the
code looks for the nearest by the signed cosine. It takes the sides that its PCA happens to give, often away from the
target; `sides: pca` takes them as scikit-learn does since 1.5, the largest entry positive. That alone changed 18 to 72
% of the records. Gradients of validation records have length 1, as in the pipeline of LESS that the authors use; the
share of `count_ratio` is of the components that explain anything; equals go by id. PCA takes the mean away, which is
the gradient of the target's loss: `centred: false` keeps it. The whole graph is never held: its rows are made as the
walk comes to them, so that none are approximate. The score is the largest cosine to a component that was walked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np

# Components that explain a smaller part of the variance are rounding.
NOTHING = 1e-10


class G2is(Parameters):
    """Parameters of `g2is`; defaults are those of the authors' code."""

    components: Literal["variance", "count_ratio"] = Field(
        "variance", description="Keep the components that explain `share` of the variance, or that share of them."
    )
    share: float = Field(0.5, gt=0, le=1, description="See `components`.")
    centred: bool = Field(True, description="Whether the mean validation gradient is taken away before PCA.")
    sides: Literal["mean", "pca"] = Field(
        "mean",
        description="Where components point: to the side of the mean validation gradient, or as in scikit-learn's PCA.",
    )
    consistency: float = Field(0.8, ge=0, le=1, description="How much of its direction a walk keeps with each record.")
    neighbours: int | None = Field(
        None, ge=1, description="How many nearest neighbours a record of the graph has; null: all others."
    )


def needs(_parameters: G2is) -> Needs:
    """Return the needs: Adam's steps of training records, gradients of validation records."""
    return Needs({"warm": frozenset({"adam_features"}), "warm-validation": frozenset({"sgd_features"})})


def select(inputs: Inputs, parameters: G2is) -> Choice:
    """Choose by a walk for each component, those that explain most first."""
    import numpy as np

    from grads.selection.algorithms.neighbours import unit_matrix, unit_rows

    gradients = unit_rows(np.asarray(inputs.features["warm-validation"]["sgd_features"], dtype=float))
    components, weights = core_directions(gradients, parameters)
    shares = budgets(weights, inputs.count)
    graph = unit_matrix(inputs.features["warm"]["adam_features"])
    used = np.zeros(len(graph), dtype=bool)
    score = np.full(len(graph), -np.inf)
    order: list[int] = []
    notes: dict[str, Any] = {"component_weights": np.round(weights, 6).tolist(), "component_budgets": shares}
    notes |= {"component_records": [], "steps_beyond_neighbours": 0}
    for component, share in zip(components, shares, strict=True):
        toward = cosines_to(graph, component)
        np.maximum(score, toward, out=score)
        walked, beyond = walk(graph, toward, used, share, parameters)
        order += walked
        notes["component_records"].append(len(walked))
        notes["steps_beyond_neighbours"] += beyond
    return Choice(score, np.array(order, dtype=int), notes)


def core_directions(gradients: np.ndarray, parameters: G2is) -> tuple[np.ndarray, np.ndarray]:
    """Return K x d components of M x d gradients, of length 1, and K weights: shares of what they explain together.

    Raises:
        GradsError: the gradients do not vary, so that there are none.
    """
    import numpy as np

    mean = gradients.mean(axis=0)
    _, singular, axes = np.linalg.svd(gradients - mean if parameters.centred else gradients, full_matrices=False)
    explained = singular**2
    if explained.sum() <= NOTHING * len(gradients):
        raise GradsError(
            f"method 'g2is' finds no direction in the gradients of {len(gradients)} validation records, for they are "
            "all alike: use more validation records, or set its parameter 'centred' to false"
        )
    explained = explained[explained > NOTHING * explained.sum()] / explained.sum()
    if parameters.components == "variance":
        # More than the share, as in scikit-learn's PCA.
        count = int(np.searchsorted(np.cumsum(explained), parameters.share, side="right")) + 1
    else:
        count = max(1, int(parameters.share * len(explained)))
    components = axes[: len(explained)][:count]
    explained = explained[:count]
    side = components @ mean
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    # Where the mean says nothing, the largest entry is positive, which is a side like any other.
    sign = np.where((np.abs(side) > NOTHING) & (parameters.sides == "mean"), side, largest)
    return components * np.sign(sign)[:, None], explained / explained.sum()


def budgets(weights: np.ndarray, count: int) -> list[int]:
    """Return how many of `count` each weight gets: whole parts, then one more for the largest remainders."""
    import numpy as np

    exact = np.round(weights * count, 9)
    shares = np.floor(exact).astype(int)
    shares[np.argsort(shares - exact, kind="stable")[: count - shares.sum()]] += 1
    return [int(share) for share in shares]


def cosines_to(graph: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return N cosines of unit rows to a unit vector, to six decimals."""
    import numpy as np

    from grads.selection.algorithms.neighbours import DECIMALS

    return np.round((graph @ direction.astype(np.float32)).astype(float), DECIMALS)


class Walk:
    """Records chosen for one component, and which could follow.

    Args:
        graph: N x d unit rows.
        toward: N cosines to the component.
        used: N, whether a record is chosen for any component; those added here are marked.

    Attributes:
        places: n positions of the records that are looked at, in order: all, until `shrink`. All that follows is of
            these n.
        near: cosines to the record added last.
    """

    def __init__(self, graph: np.ndarray, toward: np.ndarray, used: np.ndarray) -> None:
        import numpy as np

        self.all_rows = graph
        self.used = used
        self.places = np.arange(len(graph))
        self.graph = graph
        self.toward = toward
        self.agrees = np.ones(len(graph), dtype=bool)
        self.near = np.zeros(len(graph))
        self.lengths = graph.any(axis=1).astype(float)
        # Inner products with the sum of what was chosen: of all records, of the component, of the sum itself.
        self.with_sum = np.zeros(len(graph))
        self.along = 0.0
        self.squared = 0.0

    def add(self, chosen: int) -> None:
        """Add the record at a position of the pool."""
        place = int(self.places.searchsorted(chosen))
        self.near = cosines_to(self.graph, self.all_rows[chosen])
        self.used[chosen] = True
        self.agrees &= self.near >= 0
        self.along += float(self.toward[place])
        self.squared += 2 * float(self.with_sum[place]) + float(self.lengths[place])
        self.with_sum += self.near

    def shrink(self) -> None:
        """Look no more at records that are chosen or in conflict, once they are more than half."""
        open_ = self.agrees & ~self.used[self.places]
        if 2 * int(open_.sum()) < len(open_):
            self.places = self.places[open_]
            self.graph = self.graph[open_]
            self.toward = self.toward[open_]
            self.agrees = self.agrees[open_]
            self.near = self.near[open_]
            self.lengths = self.lengths[open_]
            self.with_sum = self.with_sum[open_]

    def able(self, consistency: float) -> np.ndarray:
        """Return which records are free, conflict with none chosen, and keep the direction of their sum."""
        import numpy as np

        squared = np.maximum(self.squared + 2 * self.with_sum + self.lengths, NOTHING)
        now = abs(self.along) / max(self.squared, NOTHING) ** 0.5
        cosines = np.abs(self.along + self.toward) / np.sqrt(squared)
        return ~self.used[self.places] & self.agrees & (cosines >= consistency * now - 1e-9)


def walk(
    graph: np.ndarray, toward: np.ndarray, used: np.ndarray, share: int, parameters: G2is
) -> tuple[list[int], int]:
    """Return positions chosen for a component, at most `share`, and how many were no neighbours of the one before."""
    import numpy as np

    from grads.selection.algorithms.neighbours import OWN, ranked

    if not share or used.all():
        return [], 0
    others = len(graph) - 1
    limit = min(parameters.neighbours or others, others)
    walked = Walk(graph, toward, used)
    beyond = 0
    order = [int(np.where(used, OWN, toward).argmax())]
    while True:
        walked.add(order[-1])
        if limit == others:  # Otherwise records that cannot follow are neighbours still, and keep others from being.
            walked.shrink()
        able = walked.able(parameters.consistency)
        if len(order) == share or not able.any():
            return order, beyond
        if limit == others:
            order.append(int(walked.places[np.where(able, walked.near, OWN).argmax()]))
            continue
        walked.near[order[-1]] = OWN
        places = ranked(walked.near[None], limit)[1][0]
        found = able[places]
        beyond += not found.any()
        order.append(int(places[found.argmax()] if found.any() else np.where(able, toward, OWN).argmax()))


METHOD = Method(
    name="g2is",
    title="G2IS",
    source="arXiv 2502.11062; code zy125413/G2IS @990409b",
    select=select,
    parameters=G2is,
    needs=needs,
    uses_target=True,
    nested=False,
    may_fall_short=True,
)
