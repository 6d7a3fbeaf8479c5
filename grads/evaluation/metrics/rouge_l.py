"""ROUGE-L: the longest common subsequence of words, by the package rouge-score."""

import importlib.metadata
from typing import Any

from grads.evaluation.metrics.contract import (
    Metric,
    Result,
    Rows,
    Setting,
    mean_result,
    number_of_references,
    references,
)


class _Words:
    """Words of another language, in the form that rouge-score asks for."""

    def __init__(self, language: str) -> None:
        self.language = language

    def tokenize(self, text: str) -> list[str]:
        from grads.evaluation.metrics.tokenizing import split_words

        return split_words(text, self.language)


def compute(rows: Rows, setting: Setting) -> Result:
    """Return ROUGE-L's F-measure (0 to 1): the mean over items, of several references the best.

    English with rouge-score's own words (lower case, letters and digits) and without stems, its default. They are those
    of ASCII, so other languages have their own.
    """
    from rouge_score.rouge_scorer import RougeScorer

    from grads.evaluation.metrics.tokenizing import sacrebleu_tokenizer

    english = setting.language == "en"
    tokenizer: Any = None if english else _Words(setting.language)
    scorer = RougeScorer(["rougeL"], use_stemmer=False, tokenizer=tokenizer)
    items = [float(scorer.score_multi(references(row), row["prediction"])["rougeL"].fmeasure) for row in rows]
    words = "rouge-score" if english else sacrebleu_tokenizer(setting.language)
    version = importlib.metadata.version("rouge-score")
    return mean_result(items, f"nrefs:{number_of_references(rows)}|rouge-score:{version}|tok:{words}|stem:no|f1")


METRIC = Metric(
    name="rouge_l",
    title="ROUGE-L",
    decimals=3,
    higher_is_better=True,
    source="Lin 2004; the package rouge-score",
    compute=compute,
)
