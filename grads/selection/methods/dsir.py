"""`dsir`: DSIR, records drawn by how much more likely their words are in the target than in the pool.

Words (lower case; runs of letters and digits, or of other signs) and pairs of neighbouring words are hashed into
buckets. The weight of a record is the product over its n-grams of p(bucket | target) / p(bucket | pool), target being
the validation records.

- `sample`: a draw without replacement, proportional to the weights, as the highest log-weights plus Gumbel noise, which
  depends on seed and id alone.
- `highest`: the highest log-weights.

Certain: hashed words and pairs, the weight, and the draw, as in the authors' code.

Ours: the text is instruction, input and output, one below the other; a number is added to the target's counts in every
bucket, since a target of few records has empty ones (the code adds 1e-8 to all probabilities, which makes one unseen
word outweigh everything else); no length is too short by default, while the authors drop texts of less than 100 words;
the hash is scikit-learn's; a character of Chinese or Japanese, which has no spaces, is a word of its own.

**It selects by length.** The log-weight is a sum over a record's n-grams, not divided by their number, as in the
authors' code. Where pool and target are of one domain most n-grams speak slightly against a record, so that short
records have the highest weights: the rank correlation of weight and words was -0.92 on PolicyQA and -0.77 on MedQuAD,
and the records kept had less than half the words of the pool. The notes have both means, `mean_words` and
`mean_words_of_pool`; compare with a `random_length` whose `reference` is this arm, and whose `field` is `whole`. And
the draw is hardly one: log-weights differ by hundreds, the noise by about one, so that two seeds keep nearly the same
records, and intervals over seeds hold next to nothing of the selection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.data.compared_words import WORD
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import gumbel, own_seed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

# Runs of letters and digits, or of signs, as NLTK's `wordpunct_tokenize` has them, where words have spaces.
TOKEN = rf"{WORD}|[^\w\s]+"


class Dsir(Parameters):
    """Parameters of `dsir`."""

    rule: Literal["sample", "highest"] = Field("sample", description="Draw by the weights, or keep the highest.")
    buckets: int = Field(10_000, ge=1, description="Into how many buckets words and pairs are hashed.")
    smoothing: float = Field(1.0, gt=0, description="Added to the target's count in every bucket.")
    minimum_tokens: int = Field(0, ge=0, description="Records of fewer words are not kept.")


def needs(_parameters: Dsir) -> Needs:
    """Return the need of texts."""
    return Needs(texts=frozenset({"train", "validation"}))


def select(inputs: Inputs, parameters: Dsir) -> Choice:
    """Choose by the log-weights, with Gumbel noise where records are drawn."""
    import numpy as np

    from grads.selection.gradient_signals import highest

    counts, words = bucket_counts(inputs.texts["train"], parameters.buckets)
    target, _ = bucket_counts(inputs.texts["validation"], parameters.buckets)
    score = counts @ log_ratios(target, counts, parameters.smoothing)
    if parameters.rule == "sample":
        seed = own_seed(inputs.seed, "dsir")
        score = score + np.array([gumbel(id_, seed) for id_ in inputs.pool["id"]])
    long_enough = words >= parameters.minimum_tokens
    order = highest(score, long_enough, inputs.count)
    notes = {
        "too_short": int((~long_enough).sum()),
        "mean_words": round(float(words[order].mean()), 3) if len(order) else None,
        "mean_words_of_pool": round(float(words.mean()), 3),
    }
    return Choice(score, order, notes)


def bucket_counts(texts: pd.DataFrame, buckets: int) -> tuple[csr_matrix, np.ndarray]:
    """Return how often N texts' words and pairs fall into each bucket (N x buckets), and N numbers of words."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        token_pattern=TOKEN, ngram_range=(1, 2), n_features=buckets, alternate_sign=False, norm=None
    )
    joined = texts[["instruction", "input", "output"]].fillna("").agg("\n".join, axis=1)
    counts = hashing.transform(joined)
    # A text of n words has n - 1 pairs.
    grams = np.asarray(counts.sum(axis=1)).ravel()
    return counts, ((grams + 1) // 2).astype(int)


def log_ratios(target: csr_matrix, pool: csr_matrix, smoothing: float) -> np.ndarray:
    """Return log p(bucket | target) - log p(bucket | pool) for each bucket; 0 where the pool has none of it."""
    import numpy as np

    wanted = np.asarray(target.sum(axis=0)).ravel() + smoothing
    there = np.asarray(pool.sum(axis=0)).ravel()
    ratios = np.log(wanted / wanted.sum()) - np.log(np.maximum(there, 1) / max(there.sum(), 1))
    return np.where(there > 0, ratios, 0.0)


METHOD = Method(
    name="dsir",
    title="DSIR",
    source="arXiv 2302.03169; code p-lambda/dsir @4802a1c",
    select=select,
    parameters=Dsir,
    needs=needs,
    uses_target=True,
    draws=True,
)
