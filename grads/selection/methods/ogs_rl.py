"""`ogs_rl`: Orthogonal Gradient Selection with its policy, which is learnt and says from which cluster to draw.

Records are clustered by their gradients, as the navigator, a small model, has them. A policy draws mini-batches from
the clusters; its reward is what the loss on the domain's development records falls, its cost what the loss on general
records rises, and the cost of a whole choice has a budget. The policy is learnt by PPO, the budget kept by a Lagrange
multiplier; then the likeliest actions choose.

Certain: little, as readers of the paper (arXiv 2602.06359) report it: the constrained decision process with these
states, actions, reward and cost, PPO with a Lagrangian, the navigator, and the greedy policy in the end. The static
form, which others re-ran, is [`ogs`](#ogs).

Ours: all numbers, and that no navigator is trained. Its training is foreseen to the second order: the loss on a
record whose gradient is g changes by g . u + (g . u)^2 / 2 where the weights move by u, the second term being what its
empirical Fisher information adds; so each record has its least loss after a step of its own, and what is learnt pays no
more. A mini-batch moves the weights against its mean gradient. The path is as long, in the norm of the clusters' mean
gradients, as the step that lowers the loss on validation records most along their own gradient, times `reach`. Reward,
cost and `budget` are in units of what that step gains.

- Gradients are those of the adapter, in a random projection, at `point`. The development records are the validation
  records, the general ones the anchor, `general.instructions`. The navigator is an arm's `scorer`.
- The state of a cluster: its mean of 1 - |cos| and of -cos with the anchor's mean gradient, what is left of it, what a
  mini-batch of it would now gain and cost, and that cost where the budget is used up. Each is standardised over the
  clusters.
- 10 clusters, as one reader has them; mini-batches of a 32nd of the records to choose; within a cluster the draw is
  random. The policy is linear, and learnt from 120 choices, which take seconds.

Notes have what is foreseen of the choice, and of as many random records (`..._at_random`), in the same units. A smaller
choice is no part of a larger one. Records that are not chosen are scored by 1 - |cos|.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import FeaturePoint
from grads.study.seeds import own_seed, shuffled_ids

if TYPE_CHECKING:
    import numpy as np

    from grads.signals.vectors import Vectors

# Mini-batches of a choice.
STEPS = 32
# Number of the clusters' first centres.
SEED = 0
DECIMALS = 6
# Clusters whose numbers spread no more than this, by rounding, are alike.
SPREAD = 1e-9


class OgsRl(Parameters):
    """Parameters of `ogs_rl`; the defaults are ours."""

    point: FeaturePoint = Field("base", description="Whose gradients: untrained, or after the preliminary epoch.")
    clusters: int = Field(10, ge=1, description="Clusters of gradients; as many as differ, if fewer.")
    budget: float = Field(
        0.0,
        description="What the general loss may rise, in units of the largest fall of the domain's that is foreseen.",
    )
    reach: float = Field(1.0, gt=0, description="How far training goes, in steps that gain the domain most.")


def needs(parameters: OgsRl) -> Needs:
    """Return the need of gradients of training, validation and anchor records."""
    stores = [f"{parameters.point}{other}" for other in ("", "-validation", "-anchor")]
    return Needs(dict.fromkeys(stores, frozenset({"sgd_features"})))


def select(inputs: Inputs, parameters: OgsRl) -> Choice:
    """Learn a policy over the clusters, and choose by it.

    Raises:
        GradsError: the mean gradient of the validation records or of the anchor is zero.
    """
    import numpy as np

    from grads.selection.algorithms.clusters import clusters_of
    from grads.selection.algorithms.constrained_policy import Policy
    from grads.selection.algorithms.neighbours import cosines_with, unit_matrix, unit_rows
    from grads.selection.gradient_signals import rank_share

    vectors, domain, general = (
        inputs.features[f"{parameters.point}{other}"]["sgd_features"] for other in ("", "-validation", "-anchor")
    )
    reference = unit_rows(_mean(general, "the anchor")[None])[0]
    along = cosines_with(vectors, reference)
    cluster = clusters_of(unit_matrix(vectors), parameters.clusters, SEED)
    drawn = shuffled_ids(inputs.pool["id"], own_seed(inputs.seed, "ogs_rl"))
    place = {id_: number for number, id_ in enumerate(drawn)}
    places = np.array([place[id_] for id_ in inputs.pool["id"]])
    foreseen = Foreseen.of(vectors, domain, general, cluster, parameters.reach)
    navigator = Navigator(foreseen, cluster, places, along, inputs.count, parameters.budget)
    policy = Policy(navigator.features()[0].shape[1])
    random = np.random.default_rng(own_seed(inputs.seed, "ogs_rl"))
    if cluster.any():
        policy.learn(navigator, parameters.budget, random)
    policy.run(navigator, None)
    order = np.array(navigator.taken, dtype=int)
    chance = np.argsort(places)[: inputs.count]
    notes: dict[str, object] = {
        "clusters": np.bincount(cluster).tolist(),
        "kept_of_clusters": np.bincount(cluster[order], minlength=int(cluster.max()) + 1).tolist(),
        "multiplier": round(policy.multiplier, DECIMALS),
    }
    for name, chosen in (("", order), ("_at_random", chance)):
        fall, rise = foreseen.after(chosen)
        notes[f"domain_loss_falls{name}"] = round(fall, DECIMALS)
        notes[f"general_loss_rises{name}"] = round(rise, DECIMALS)
    rest = np.setdiff1d(np.arange(len(along)), order)
    score = np.empty(len(along))
    score[order] = 1.0 - np.arange(len(order)) / len(along)
    if len(rest):
        score[rest] = (1 - len(order) / len(along)) * rank_share(1 - np.abs(along[rest]))
    return Choice(score, order, notes)


def _mean(gradients: Vectors, of: str) -> np.ndarray:
    mean = gradients.mean() if len(gradients) else None
    if mean is None or not mean.any():
        raise GradsError(f"method 'ogs_rl' finds the mean gradient of {of} to be zero: use other records there")
    return mean


class Foreseen:
    """What mini-batches are foreseen to do to the losses on domain and general records.

    Args:
        domain: N x V, the products of the N records' gradients with those of V validation records.
        general: N x A, likewise of the anchor.
        rate: what the weights move by against a mean gradient of length 1, over a whole choice.
        unit: the loss that the best step along the domain's own gradient is foreseen to gain.
    """

    def __init__(self, domain: np.ndarray, general: np.ndarray, rate: float, unit: float) -> None:
        self.domain = domain
        self.general = general
        self.rate = rate
        self.unit = unit

    @classmethod
    def of(cls, vectors: Vectors, domain: Vectors, general: Vectors, cluster: np.ndarray, reach: float) -> Foreseen:
        """Return it of N training records in clusters, validation and anchor records."""
        import numpy as np

        wanted = _mean(domain, "the validation records")
        _mean(general, "the anchor")
        kept_apart = [np.asarray(gradients, dtype=np.float64) for gradients in (domain, general)]
        products: list[list[np.ndarray]] = [[], []]
        sums = np.zeros((int(cluster.max()) + 1, vectors.shape[1]))
        start = 0
        for chunk in vectors.chunks():
            for found, gradients in zip(products, kept_apart, strict=True):
                found.append(chunk @ gradients.T)
            np.add.at(sums, cluster[start : start + len(chunk)], chunk)
            start += len(chunk)
        sizes = np.bincount(cluster)
        lengths = np.square(sums / sizes[:, None]).sum(axis=1)
        typical = float(np.sqrt(lengths @ sizes / sizes.sum()))
        # Of a step -t g the loss changes by -t |g|^2 + t^2 / 2 mean (g_i . g)^2.
        squared = float(wanted @ wanted)
        step = squared / float(np.square(kept_apart[0] @ wanted).mean())
        rate = reach * step * np.sqrt(squared) / typical if typical else 0.0
        return cls(np.concatenate(products[0]), np.concatenate(products[1]), rate, step * squared / 2)

    def losses(self, moved: np.ndarray) -> np.ndarray:
        """Return the change of the mean loss on records, by their gradients' products with what moved (last axis)."""
        return (moved + moved * moved / 2).mean(axis=-1) / self.unit

    def after(self, chosen: np.ndarray) -> tuple[float, float]:
        """Return the fall of the domain's loss and the rise of the general one after training on some records."""
        domain = -self.rate * self.domain[chosen].mean(axis=0)
        general = -self.rate * self.general[chosen].mean(axis=0)
        return -float(self.losses(domain)), float(self.losses(general))


class Navigator:
    """The environment: a choice of `count` records, a mini-batch of a cluster at each step.

    Args:
        foreseen: what it does to the losses.
        cluster: of each of N records, from 0 without gaps.
        places: N numbers; a cluster gives its records from the lowest on.
        along: N cosines with the anchor's mean gradient.
        count: at least 1.
        budget: of the cost of a choice.

    Attributes:
        taken: positions of the records chosen so far.
    """

    def __init__(
        self,
        foreseen: Foreseen,
        cluster: np.ndarray,
        places: np.ndarray,
        along: np.ndarray,
        count: int,
        budget: float,
    ) -> None:
        import numpy as np

        self.foreseen = foreseen
        self.count = count
        self.budget = budget
        self.size = -(-count // STEPS)
        self.sizes = np.bincount(cluster)
        self.members = np.lexsort((places, cluster))
        self.starts = np.cumsum(self.sizes) - self.sizes
        orthogonal = np.bincount(cluster, 1 - np.abs(along)) / self.sizes
        conflict = np.bincount(cluster, -along) / self.sizes
        self.lasting = np.stack([orthogonal, conflict], axis=1)
        # What the first records move, cluster by cluster: each moves the weights by its share of a whole choice.
        share = -foreseen.rate / count
        self.sums = [
            np.cumsum(np.concatenate([np.zeros((1, products.shape[1])), products[self.members]]), axis=0) * share
            for products in (foreseen.domain, foreseen.general)
        ]
        self.reset()

    def reset(self) -> None:
        """Begin again with nothing chosen."""
        import numpy as np

        self.used = np.zeros(len(self.sizes), dtype=int)
        self.taken: list[int] = []
        self.moved = [np.zeros(sums.shape[1]) for sums in self.sums]
        self.losses = [0.0, 0.0]
        self.cost = 0.0
        self._look()

    @property
    def done(self) -> bool:
        """Whether all records are chosen."""
        return len(self.taken) >= self.count

    def _look(self) -> None:
        """Foresee what the next mini-batch of each of K clusters does."""
        import numpy as np

        self.next = np.minimum(np.minimum(self.size, self.sizes - self.used), self.count - len(self.taken))
        first = self.starts + self.used
        self.after = [
            moved + sums[first + self.next] - sums[first] for moved, sums in zip(self.moved, self.sums, strict=True)
        ]
        self.changed = [self.foreseen.losses(moved) for moved in self.after]

    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Return K x 6 numbers, standardised over the clusters that have records left, and which these are."""
        import numpy as np

        allowed = self.used < self.sizes
        left = 1 - self.used / self.sizes
        fall = self.losses[0] - self.changed[0]
        rise = self.changed[1] - self.losses[1]
        found = np.column_stack([self.lasting, left, fall, rise, rise])
        inside = found[allowed]
        spread = inside.std(axis=0)
        found = (found - inside.mean(axis=0)) / np.where(spread > SPREAD, spread, np.inf)
        found[~allowed] = 0.0
        found[:, -1] *= self.cost >= self.budget
        return found, allowed

    def step(self, action: int) -> tuple[float, float]:
        """Choose a mini-batch of a cluster; return the fall of the domain's loss and the rise of the general one."""
        begin = self.starts[action] + self.used[action]
        self.taken += self.members[begin : begin + self.next[action]].tolist()
        self.used[action] += self.next[action]
        before = self.losses
        self.moved = [moved[action] for moved in self.after]
        self.losses = [float(changed[action]) for changed in self.changed]
        fall = before[0] - self.losses[0]
        rise = self.losses[1] - before[1]
        self.cost += rise
        self._look()
        return fall, rise


METHOD = Method(
    name="ogs_rl",
    title="OGS (policy)",
    source="arXiv 2602.06359, as described by third parties; its navigator foreseen, not trained",
    select=select,
    parameters=OgsRl,
    needs=needs,
    uses_target=True,
    nested=False,
    draws=True,
)
