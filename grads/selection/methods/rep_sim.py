"""`rep_sim`: the records nearest to target examples by the hidden states of the untrained model, or by an encoder.

A record's vector is the mean of the last layer's states over its tokens, and its score the cosine to the validation
records' vectors: the mean over them, or the largest. With an `encoder` the vectors are a sentence encoder's of the
texts of both, question and answer.

Certain: cosines of a model's hidden states as the score of a record for a target, the simplest of the baselines by
representations in DATE-LM (arXiv 2507.09424), where it did better than LESS and than chance on average (61.2 against
60.0 and 60.2).

Ours: that all tokens count alike (`states: weighted_hidden` has the weights of RDS+, by position; `layer_hidden` a
layer below the last, `embeddings` what the input embedding looks up), and that the mean over targets is the default;
`aggregate: max` keeps what is near to any one of them. States of one model have a large part in common, so that all
cosines are near 1: their order is what counts, and `centred` takes the mean of the training records off first. The
form with an encoder, which needs no pass of the model, is ours. Cosines count to six decimals.

Notes have `mean_cosine` of the records that are kept, and `mean_cosine_of_pool`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.selection.gradient_signals import content

# Cosines that are held at once.
CHUNK = 2**24


class RepSim(Parameters):
    """Parameters of `rep_sim`."""

    states: Literal["hidden", "weighted_hidden", "layer_hidden", "embeddings"] = Field(
        "hidden", description="What is compared: the kinds of vectors of a store."
    )
    aggregate: Literal["mean", "max"] = Field(
        "mean", description="The mean cosine to the validation records counts, or the largest."
    )
    centred: bool = Field(False, description="Whether the training records' mean is taken off all vectors first.")
    encoder: str | None = Field(None, description="Entry of `encoders` that embeds the texts; `states` if none.")

    @model_validator(mode="after")
    def _vectors_are_of_one_kind(self) -> RepSim:
        if self.encoder is not None and self.states != "hidden":
            raise ValueError(f"states '{self.states}' are the model's, not an encoder's: remove one of the two")
        return self


def needs(parameters: RepSim) -> Needs:
    """Return the need of the vectors of both splits."""
    store, kind = vectors_of(parameters)
    return Needs({name: frozenset({kind}) for name in (store, f"{store}-validation")})


def vectors_of(parameters: RepSim) -> tuple[str, str]:
    """Return the store of the vectors that are compared, and what they are called in it."""
    return ("base", parameters.states) if parameters.encoder is None else content(parameters.encoder)


def select(inputs: Inputs, parameters: RepSim) -> Choice:
    """Choose by the cosine to the validation records."""
    import numpy as np

    from grads.selection.algorithms.neighbours import DECIMALS, centred_matrix

    store, kind = vectors_of(parameters)
    vectors = inputs.features[store][kind]
    origin = vectors.mean() if parameters.centred else np.zeros(vectors.shape[1])
    records = centred_matrix(vectors, origin)
    targets = centred_matrix(inputs.features[f"{store}-validation"][kind], origin)
    if parameters.aggregate == "mean":
        cosines = records @ targets.mean(axis=0, dtype=np.float64)
    else:
        step = max(1, CHUNK // len(targets))
        starts = range(0, len(records), step)
        cosines = np.concatenate([(records[start : start + step] @ targets.T).max(axis=1) for start in starts])
    score = np.round(cosines.astype(float), DECIMALS) + 0.0
    kept = np.argsort(-score, kind="stable")[: inputs.count]
    notes = {"mean_cosine_of_pool": round(float(score.mean()), DECIMALS)}
    if inputs.count:
        notes["mean_cosine"] = round(float(score[kept].mean()), DECIMALS)
    return Choice(score, notes=notes)


METHOD = Method(
    name="rep_sim",
    title="Rep-Sim",
    source="baseline Rep-Sim of arXiv 2507.09424",
    select=select,
    parameters=RepSim,
    needs=needs,
    uses_target=True,
)
