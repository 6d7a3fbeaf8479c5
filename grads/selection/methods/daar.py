"""`daar`: Diversity as a Reward, the records whose domain a probe on the model's states cannot tell.

The pool has no labels of domains, so it gets some; a probe on a lower layer's hidden states learns to predict them, and
the records with the highest entropy of its prediction are kept: those that belong to several domains.

Certain: pseudo-labels of four domains by the nearest centroid of mean input embeddings, a probe on the states of one
lower layer of the model that is tuned, the entropy of its prediction as the reward, and that the highest are kept, 20 %
in the paper.

Ours:

- The centroids. The paper has the model's instruction-tuned sibling write some 35 examples of each of four named
  domains; here nothing is generated, and the domains are the clusters of k-means in the same space, by a fixed number.
  For a pool of one domain they are its topics. `field` names a label that the records bring along instead.
- The probe is a multinomial logistic regression on standardised states, where the paper has an MLP, learnt on a set of
  its own. Here the pool is cut in five, and each part is predicted by a probe that the other four taught, so that no
  entropy is of a record that the probe has learnt.
- The entropy is that of this probe; the paper fits a second network to it, which predicts it for the pool.
- The layer is `probe.hidden_layer`, the middle one unless given; the paper's is the third. Entropies count to six
  decimals.

An arm's `scorer` has all of this done on another model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    import numpy as np

# Parts of the pool, each predicted by a probe that the others taught.
FOLDS = 5
# Number of the clusters' first centres: domains are no draw.
SEED = 0
# Rounds of the probe's optimiser, and the inverse strength of its l2 penalty.
ROUNDS = 300
STRENGTH = 1.0
DECIMALS = 6


class Daar(Parameters):
    """Parameters of `daar`."""

    domains: int = Field(4, ge=2, description="Clusters that stand for domains, where no field names them.")
    field: str | None = Field(None, description="Field of a record's domain, such as `source`; null: clusters.")


def needs(parameters: Daar) -> Needs:
    """Return the need of states, and of embeddings to cluster or of the records' own labels."""
    held = {"layer_hidden"} if parameters.field else {"layer_hidden", "embeddings"}
    return Needs({"base": frozenset(held)}, texts=frozenset({"train"} if parameters.field else ()))


def select(inputs: Inputs, parameters: Daar) -> Choice:
    """Choose by the entropy of the predicted domain."""
    import numpy as np

    domains = _domains(inputs, parameters)
    probabilities = predicted(np.asarray(inputs.features["base"]["layer_hidden"]), domains)
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    entropy = np.round(-(probabilities * logs).sum(axis=1), DECIMALS) + 0.0
    right = probabilities.argmax(axis=1) == domains
    notes = {"domains": np.bincount(domains).tolist(), "predicted_right": round(float(right.mean()), DECIMALS)}
    return Choice(entropy, notes=notes)


def _domains(inputs: Inputs, parameters: Daar) -> np.ndarray:
    """Return the domain of each of N records, numbered from 0 without gaps."""
    import numpy as np

    from grads.selection.algorithms.clusters import clusters_of
    from grads.selection.methods.metadata import column_of

    if parameters.field is None:
        return clusters_of(np.asarray(inputs.features["base"]["embeddings"]), parameters.domains, SEED)
    labels = column_of(inputs.texts["train"], parameters.field).astype(str)
    numbered: np.ndarray = np.unique(labels, return_inverse=True)[1]
    return numbered


def predicted(states: np.ndarray, domains: np.ndarray) -> np.ndarray:
    """Return the probability of each domain for each of N records, by probes that have not seen the record (N x K).

    Args:
        states: N x d.
        domains: N numbers from 0 without gaps.
    """
    import numpy as np

    # Records by turns, which a draw would not improve: their order is that of their ids.
    fold = np.arange(len(states)) % FOLDS
    found = np.zeros((len(states), int(domains.max()) + 1))
    for number in range(min(FOLDS, len(states))):
        held_out = fold == number
        found[held_out] = _probe(states[~held_out], domains[~held_out], states[held_out], found.shape[1])
    return found


def _probe(states: np.ndarray, domains: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """Return the probabilities of `count` domains for the states asked, by a probe taught with the others."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    found = np.zeros((len(asked), count))
    seen = np.unique(domains)
    if len(seen) < 2:
        found[:, seen] = 1.0
        return found
    centre = states.mean(axis=0, dtype=np.float64)
    spread = states.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1.0)
    with warnings.catch_warnings(), threadpool_limits(1):  # Threads would add up in an order of their own each time.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(C=STRENGTH, max_iter=ROUNDS).fit((states - centre) / spread, domains)
        found[:, seen] = probe.predict_proba((asked - centre) / spread)
    return found


METHOD = Method(
    name="daar",
    title="DaaR (local)",
    source="arXiv 2502.04380; domains and probe ours",
    select=select,
    parameters=Daar,
    needs=needs,
)
