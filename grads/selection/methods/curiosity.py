"""`curiosity`: the record that a model of those chosen so far can least predict, again and again.

A Bayesian linear model (unit prior variance of each weight, noise of variance `noise`) is fitted to hidden states. Its
predictive variance at x is x' (I + A' A / noise)^-1 x, A the rows chosen so far, whatever the answers are; the record
where it is largest is chosen next, which is Bayesian D-optimal design.

Certain: nothing but the idea. "Domain Curiosity: Learning Efficient Data Collection Strategies for Domain Adaptation"
(O. Struckmeier, K. Arndt and V. Kyrki, 2021) is known to us by its title and listing alone.

Ours: all of it, and it is far from that paper, whose field is robotics. There, a policy learns by reinforcement how to
act so that what is observed tells much about an unknown domain; here nothing acts, nothing is learnt by trial, the pool
is given, and there is one domain. What is left is curiosity: to collect what one's own model is uncertain about. The
space is that of mean last hidden states of the untrained model, or an encoder's embeddings, less the pool's mean, in
units of their root mean square length. Variances count to six decimals. Each record chosen takes N d steps.

The score is the predictive standard deviation, as a record was chosen or at the end.
"""

from __future__ import annotations

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content

# Decimals of a variance that count.
DECIMALS = 6


class Curiosity(Parameters):
    """Parameters of `curiosity`; the defaults are ours."""

    noise: float = Field(0.1, gt=0, description="Variance of the noise; the mean squared length is 1.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the content; hidden states if none.")


def needs(parameters: Curiosity) -> Needs:
    """Return the need of the vectors."""
    store, kind = content(parameters.encoder)
    return Needs({store: frozenset({kind})})


def select(inputs: Inputs, parameters: Curiosity) -> Choice:
    """Choose the record of the largest variance again and again, the first of equals."""
    import numpy as np

    from grads.selection.algorithms.spread import Uncertainty

    store, kind = content(parameters.encoder)
    vectors = inputs.features[store][kind]
    points = np.asarray(vectors) - vectors.mean().astype(np.float32)
    # What is left of vectors that are all alike is rounding.
    length = float(np.sqrt(np.square(points, dtype=np.float64).sum() / len(points)))
    alike = length < 10**-DECIMALS * float(np.linalg.norm(vectors.mean()))
    points = np.zeros_like(points) if alike or not length else points / np.float32(length)
    uncertainty = Uncertainty(points, parameters.noise)
    score = np.empty(len(points))
    taken = np.zeros(len(points), dtype=bool)
    order = np.empty(inputs.count, dtype=int)
    for step in range(inputs.count):
        variance = np.round(uncertainty.variance, DECIMALS)
        order[step] = np.argmax(np.where(taken, -1.0, variance))
        score[order[step]] = variance[order[step]]
        taken[order[step]] = True
        uncertainty.take(int(order[step]))
    left = np.round(uncertainty.variance, DECIMALS)
    score = np.sqrt(np.where(taken, score, left))
    largest = float(score[~taken].max(initial=0.0))
    return Choice(score, order, {"largest_uncertainty_left": round(largest, DECIMALS)})


METHOD = Method(
    name="curiosity",
    title="Curiosity",
    source="after the idea of Domain Curiosity (O. Struckmeier et al., 2021); this form is ours",
    select=select,
    parameters=Curiosity,
    needs=needs,
)
