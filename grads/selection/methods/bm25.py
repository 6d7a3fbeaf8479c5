"""`bm25`: the records whose words are those of target examples, by BM25.

Each validation record is a query, each training record a document. A record's score for a query is the sum, over the
query's words, of

    idf(w) n(w) / (n(w) + k1 (1 - b + b L / mean L))        idf(w) = log(1 + (N - N(w) + 1/2) / (N(w) + 1/2))

with n(w) how often the record has the word, L its number of words, and N(w) how many of N records have the word.

Certain: the formula, which is BM25 with an idf that is never negative (S. Robertson and H. Zaragoza, 2009; the form of
Lucene and of the default of the package bm25s, to which this is equal), and that DATE-LM (arXiv 2507.09424) has BM25
against target examples among its baselines.

Ours: k1 and b are the defaults of bm25s; texts are instruction, input and output, one below the other, of both sides
(`query: prompt` leaves the targets' answers out); words are in lower case and as they are, without stop words or
stemming, and a character of Chinese or Japanese is one; a word that a query has twice counts twice; and the score is
the mean over queries, or the highest of them.

Notes have `mean_words` of what is kept and `mean_words_of_pool`: long records have more words in common with anything,
which b takes away in part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.data.compared_words import WORD
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from scipy.sparse import csr_matrix

# Decimals of a score that count.
DECIMALS = 6
# Queries whose scores are held at once, times records.
CHUNK = 2**22


class Bm25(Parameters):
    """Parameters of `bm25`."""

    k1: float = Field(1.5, ge=0, description="How slowly further uses of a word stop to count.")
    b: float = Field(0.75, ge=0, le=1, description="How much long records are held back.")
    query: Literal["whole", "prompt"] = Field("whole", description="A target's text: all of it, or without its answer.")
    aggregate: Literal["mean", "max"] = Field(
        "mean", description="The mean score over validation records counts, or the highest."
    )


def needs(_parameters: Bm25) -> Needs:
    """Return the need of texts."""
    return Needs(texts=frozenset({"train", "validation"}))


def select(inputs: Inputs, parameters: Bm25) -> Choice:
    """Choose by the scores for the validation records."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(token_pattern=WORD)
    whole = ["instruction", "input", "output"]
    try:
        counts = words.fit_transform(joined(inputs.texts["train"], whole))
    except ValueError:  # No text has a word.
        return Choice(np.zeros(len(inputs.pool)), notes={"words": 0})
    asked = words.transform(joined(inputs.texts["validation"], whole if parameters.query == "whole" else whole[:2]))
    weights = word_weights(counts, parameters.k1, parameters.b)
    if parameters.aggregate == "mean":
        score = weights @ np.asarray(asked.mean(axis=0)).ravel()
    else:
        step = max(1, CHUNK // counts.shape[0])
        score = np.zeros(counts.shape[0])
        for start in range(0, asked.shape[0], step):
            found = (weights @ asked[start : start + step].T).max(axis=1)
            score = np.maximum(score, found.toarray().ravel())
    score = np.round(score, DECIMALS) + 0.0
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    kept = np.argsort(-score, kind="stable")[: inputs.count]
    notes = {
        "words": counts.shape[1],
        "mean_words": round(float(lengths[kept].mean()), 3),
        "mean_words_of_pool": round(float(lengths.mean()), 3),
    }
    return Choice(score, notes=notes)


def joined(texts: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the text of each record, its parts one below the other."""
    return texts[list(columns)].fillna("").agg("\n".join, axis=1).tolist()


def word_weights(counts: csr_matrix, k1: float, b: float) -> csr_matrix:
    """Return what a word in a query brings to a record (N x words), of how often N records have which words."""
    import numpy as np

    weights = counts.astype(np.float64)
    number = weights.shape[0]
    having = np.bincount(weights.indices, minlength=weights.shape[1])
    idf = np.log1p((number - having + 0.5) / (having + 0.5))
    lengths = np.asarray(weights.sum(axis=1)).ravel()
    held_back = np.repeat(k1 * (1 - b + b * lengths / lengths.mean()), np.diff(weights.indptr))
    weights.data = idf[weights.indices] * weights.data / (weights.data + held_back)
    return weights


METHOD = Method(
    name="bm25",
    title="BM25",
    source="S. Robertson and H. Zaragoza, 2009; baseline of arXiv 2507.09424",
    select=select,
    parameters=Bm25,
    needs=needs,
    uses_target=True,
)
