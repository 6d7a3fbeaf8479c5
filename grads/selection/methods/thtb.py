"""`thtb`: The Harder The Better, three filters in turn: quality, intrinsic hardness, extrinsic hardness.

    quality      a reward model's score
    intrinsic    mean of Bloom's level of the instruction and of its interdisciplinarity: the number of disciplines it
                 takes, on the scale of 0 to 1, plus their mean distance to each other (0 of fewer than two)
    extrinsic    mean of length and silhouette: characters of question and answer together, and those of the answer by
                 those of the question; the silhouette is that of clusters of TF-IDF vectors by cosine, moved to 0 to 1

A fifth passes the first filter, half of those the second, and half of those are kept: 5 %. What is brought to the scale
of 0 to 1 is so among those that passed the filter before.

Certain: the filters, their order and shares, and their formulas, `form: code` as in the authors' code (the level as
(score - 1) / 20 of a score from 1 to 21, both parts of the length on the scale of 0 to 1, and averaged), `form: paper`
as in the paper (the level on the scale of 0 to 1; the quotient of the lengths as it is, added); 161 clusters of 100
words at most, for Alpaca; cosine distances.

Ours: where the paper asks models there are stand-ins, so that it is called local, unless a field of the records has
what they said. The notes list the stand-ins in use under `stand_ins`.

- Quality: without `quality_field` the mean log-likelihood of the answer under the untrained model, or with an arm's
  `scorer`, which may be a larger model, under that one. It is no reward model: it prefers usual answers.
- Bloom's level: without `bloom_field` the sum of the levels (1 to 6) whose English verbs the instruction has.
- Disciplines: without `disciplines_field` (a text of names with commas between) those of a list of 16 of which the
  instruction has a word. A discipline's vector, where the paper embeds a description of it, is the mean of the TF-IDF
  vectors of the instructions that name it.

Where another share than 5 % is kept, every filter lets a power of its share pass, so that all three act at every ratio:
at 5 % they are the paper's. Clusters of one record have silhouette 0 there; the code then sets all to 0. The initial
centres are those of k-means++ by the code's number 42.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.data.compared_words import WORD
from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

# Shares that pass the filters, where 5 % are kept.
QUALITY = 0.2
INTRINSIC = 0.5
KEPT = 0.05
# The code's seed of the clusters, and its number of words.
SEED = 42
WORDS = 100
DECIMALS = 6

# Verbs of Bloom's levels in the cognitive domain, from the lowest to the highest (of his taxonomy as revised in 2001).
LEVELS = (
    "define identify list label match name recall recite state who when where",
    "classify describe discuss explain interpret outline paraphrase restate summarise summarize translate",
    "apply calculate compute convert demonstrate implement practise show solve use",
    "analyse analyze categorise categorize compare contrast differentiate distinguish examine why",
    "argue assess critique defend evaluate judge justify recommend review support",
    "compose construct create design develop devise formulate generate imagine invent plan propose write",
)
# What a discipline is known by.
DISCIPLINES = {
    "art": "art music painting film poem song dance theatre",
    "biology": "biology cell species gene protein organism evolution plant animal",
    "chemistry": "chemistry molecule reaction acid compound chemical element",
    "computing": "code program python java algorithm software function database computer",
    "economics": "economics market price inflation bank stock trade tax finance business",
    "education": "teacher student school lesson curriculum learning education",
    "engineering": "engine circuit machine bridge engineering design mechanical electrical",
    "geography": "country city river climate map region continent",
    "history": "war century empire king revolution history ancient",
    "law": "law court contract legal crime right constitution policy",
    "linguistics": "sentence grammar word noun verb language translate",
    "literature": "novel story author book character essay literature",
    "mathematics": "equation number sum triangle probability integer mathematics calculate",
    "medicine": "patient disease drug treatment symptom surgery medicine health",
    "physics": "force energy velocity mass quantum physics electron",
    "psychology": "emotion behaviour behavior therapy memory personality psychology",
}


class Thtb(Parameters):
    """Parameters of `thtb`."""

    quality_field: str | None = Field(
        None, description="Field of a reward model's score; null: a stand-in, the likelihood under the arm's `scorer`."
    )
    bloom_field: str | None = Field(
        None, description="Field of a score of Bloom's level, 1 to 21; null: a stand-in, by the instruction's verbs."
    )
    disciplines_field: str | None = Field(
        None, description="Field of the disciplines, with commas between; null: a stand-in, by the instruction's words."
    )
    form: Literal["code", "paper"] = Field("code", description="Whose formulas of level and length.")
    clusters: int = Field(161, ge=2, description="Clusters of texts; as many as differ, if fewer.")


def needs(parameters: Thtb) -> Needs:
    """Return the need of texts, and of the likelihood where it stands in for a reward."""
    stores = {} if parameters.quality_field else {"base": frozenset({"losses"})}
    return Needs(stores, texts=frozenset({"train"}))


def select(inputs: Inputs, parameters: Thtb) -> Choice:
    """Filter three times; a record's score is how many filters it passed, and its rank among those that got as far."""
    import numpy as np

    from grads.selection.gradient_signals import rank_share

    records = inputs.texts["train"]
    first, second = passing(len(records), inputs.count)
    score = np.empty(len(records))
    everyone = np.arange(len(records))
    values = _quality(inputs, parameters)
    score[:] = rank_share(values)
    good = _highest(everyone, values, first)
    values = intrinsic(inputs, parameters, good)
    score[good] = 1 + rank_share(values)
    hard = _highest(good, values, second)
    values = extrinsic(records.iloc[hard], parameters)
    score[hard] = 2 + rank_share(values)
    fields = {"quality": parameters.quality_field, "bloom": parameters.bloom_field}
    fields |= {"disciplines": parameters.disciplines_field}
    stand_ins = [name for name, field in fields.items() if field is None]
    return Choice(score, notes={"stand_ins": stand_ins, "of_quality": first, "intrinsically_hard": second})


def passing(records: int, count: int) -> tuple[int, int]:
    """Return how many of the records pass the first and the second filter where so many are kept in the end."""
    import numpy as np

    power = np.log(count / records) / np.log(KEPT)
    first = max(count, round(records * QUALITY**power))
    return first, min(first, max(count, round(records * (QUALITY * INTRINSIC) ** power)))


def _highest(places: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Return those of n places with the highest of n values, in their order."""
    import numpy as np

    return np.sort(places[np.argsort(-np.round(values, DECIMALS), kind="stable")[:count]])


def _quality(inputs: Inputs, parameters: Thtb) -> np.ndarray:
    from grads.selection.methods.metadata import all_numbers

    if parameters.quality_field is not None:
        return all_numbers(inputs, parameters.quality_field)
    return -inputs.signals["base"]["response_nll"].to_numpy(dtype=float)


def intrinsic(inputs: Inputs, parameters: Thtb, places: np.ndarray) -> np.ndarray:
    """Return the mean of level and interdisciplinarity of the n records at some places."""
    from grads.selection.methods.metadata import all_numbers

    records = inputs.texts["train"]
    instructions = records["instruction"].fillna("").str.cat(records["input"].fillna(""), sep="\n").tolist()
    if parameters.bloom_field is None:
        levels = verb_levels([instructions[place] for place in places])
    else:
        levels = all_numbers(inputs, parameters.bloom_field)[places]
    levels = (levels - 1) / 20 if parameters.form == "code" else to_unit(levels)
    if parameters.disciplines_field is None:
        named = [by_words(instruction) for instruction in instructions]
    else:
        named = _given(records, parameters.disciplines_field)
    wide = interdisciplinarity([named[place] for place in places], distances(named, instructions))
    return (levels + wide) / 2


def verb_levels(instructions: Sequence[str]) -> np.ndarray:
    """Return the sum of the levels whose verbs each of n instructions has, 0 to 21."""
    import numpy as np

    found = [_words(instruction) for instruction in instructions]
    verbs = [frozenset(level.split()) for level in LEVELS]
    return np.array([sum(level for level, those in enumerate(verbs, 1) if those & words) for words in found], float)


def by_words(instruction: str) -> frozenset[str]:
    """Return the disciplines of which an instruction has a word."""
    words = _words(instruction)
    return frozenset(name for name, known in DISCIPLINES.items() if words & frozenset(known.split()))


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(WORD, text.lower()))


def _given(records: pd.DataFrame, field: str) -> list[frozenset[str]]:
    from grads.selection.methods.metadata import column_of

    texts = [value if isinstance(value, str) else "" for value in column_of(records, field)]
    return [frozenset(name.strip().lower() for name in text.split(",") if name.strip()) for text in texts]


def distances(named: Sequence[frozenset[str]], instructions: Sequence[str]) -> dict[frozenset[str], float]:
    """Return 1 - cosine of each pair of disciplines that a record names, by the instructions that name them."""
    import itertools

    import numpy as np

    pairs = {frozenset(pair) for names in named for pair in itertools.combinations(sorted(names), 2)}
    if not pairs:
        return {}
    vectors = tf_idf(instructions, None)
    means = {}
    for name in sorted(set().union(*pairs)):
        rows = [row for row, names in enumerate(named) if name in names]
        mean = np.asarray(vectors[rows].mean(axis=0)).ravel()
        means[name] = mean / (np.linalg.norm(mean) or 1.0)
    return {pair: float(1 - np.prod([means[name] for name in pair], axis=0).sum()) for pair in pairs}


def interdisciplinarity(named: Sequence[frozenset[str]], apart: dict[frozenset[str], float]) -> np.ndarray:
    """Return of n records the number of disciplines on the scale of 0 to 1 plus their mean distance to each other."""
    import itertools

    import numpy as np

    counts = to_unit(np.array([len(names) for names in named], dtype=float))
    pairs = [[apart[frozenset(pair)] for pair in itertools.combinations(sorted(names), 2)] for names in named]
    return counts + np.array([np.mean(found) if found else 0.0 for found in pairs])


def extrinsic(records: pd.DataFrame, parameters: Thtb) -> np.ndarray:
    """Return the mean of length and silhouette of n records."""
    import numpy as np

    question = records["instruction"].fillna("").str.len().to_numpy() + records["input"].fillna("").str.len().to_numpy()
    answer = records["output"].fillna("").str.len().to_numpy()
    whole = to_unit((question + answer).astype(float))
    quotient = answer / np.maximum(question, 1)
    length = (whole + to_unit(quotient)) / 2 if parameters.form == "code" else whole + quotient
    texts = records[["instruction", "input", "output"]].fillna("").agg("\n".join, axis=1).tolist()
    return (length + (silhouettes(texts, parameters.clusters) + 1) / 2) / 2


def silhouettes(texts: Sequence[str], clusters: int) -> np.ndarray:
    """Return the silhouette of n texts by cosine distance, -1 to 1; 0 where there is one cluster, or one of one."""
    import numpy as np
    from sklearn.metrics import silhouette_samples

    from grads.selection.algorithms.clusters import clusters_of

    points = tf_idf(texts, WORDS)
    cluster = clusters_of(points.toarray(), min(clusters, max(1, len(texts) - 1)), SEED)
    if not 1 < cluster.max() + 1 < len(texts):
        return np.zeros(len(texts))
    return silhouette_samples(points, cluster, metric="cosine")


def tf_idf(texts: Sequence[str], words: int | None) -> csr_matrix:
    """Return the TF-IDF vectors of n texts, n x words of length 1, or 0 of a text without a word."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(re.search(WORD, text) for text in texts):
        return csr_matrix((len(texts), 1))
    return csr_matrix(TfidfVectorizer(token_pattern=WORD, max_features=words).fit_transform(texts))


def to_unit(values: np.ndarray) -> np.ndarray:
    """Return n numbers moved to the scale of 0 to 1; 0 where all are equal."""
    import numpy as np

    return (values - values.min()) / (np.ptp(values) or 1.0)


METHOD = Method(
    name="thtb",
    title="THTB (local)",
    source="arXiv 2510.13892; code DYJG-research/THTB @2eb4016; stand-ins for its models ours",
    select=select,
    parameters=Thtb,
    needs=needs,
    nested=False,
)
