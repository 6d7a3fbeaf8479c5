"""METEOR: aligned words, stems and synonyms with a penalty for fragments, by NLTK."""

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
from grads.runtime.errors import GradsError


class _NoStems:
    """In the place of a stemmer: a word is its own stem."""

    def stem(self, word: str) -> str:
        return word


class _NoSynonyms:
    """In the place of WordNet: no word has synonyms."""

    def synsets(self, word: str) -> list[Any]:
        return []


def compute(rows: Rows, setting: Setting) -> Result:
    """Return METEOR (0 to 1): the mean of NLTK's item scores, lower-cased, of several references the best.

    Lavie and Agarwal 2007 with NLTK's alpha 0.9, beta 3, gamma 0.5. English is split into sentences and those into
    words, which are matched by Porter stems and WordNet's synonyms too; other languages only word by word.

    Raises:
        GradsError: English, and WordNet is not named.
    """
    from nltk.translate.meteor_score import meteor_score

    split, matchers, described = _matching(setting)
    items = [
        float(meteor_score([split(text) for text in references(row)], split(row["prediction"]), **matchers))
        for row in rows
    ]
    signature = f"nrefs:{number_of_references(rows)}|nltk:{importlib.metadata.version('nltk')}|case:lower|{described}"
    return mean_result(items, f"{signature}|alpha:0.9|beta:3.0|gamma:0.5")


def english_words(text: str) -> list[str]:
    """Return the words of an English text as NLTK's `word_tokenize` splits them, sentence by sentence.

    Its Treebank rules split off a period at the end of what they are given alone, so that sentences come first. NLTK
    takes them from Punkt with parameters that were learnt and are fetched as data; here Punkt has learnt nothing and
    knows no abbreviations: each word that ends in a period, question or exclamation mark ends a sentence.
    """
    from nltk.tokenize import PunktSentenceTokenizer, word_tokenize

    sentences = PunktSentenceTokenizer().tokenize(text)
    return [word for sentence in sentences for word in word_tokenize(sentence, preserve_line=True)]


def _matching(setting: Setting) -> tuple[Any, dict[str, Any], str]:
    """Return how texts become words, NLTK's stemmer and synonyms where they are not its own, and both in words."""
    from functools import partial

    from grads.data.sources.wordnet import open_wordnet
    from grads.evaluation.metrics.tokenizing import sacrebleu_tokenizer, split_words

    if setting.language != "en":
        described = f"tok:{sacrebleu_tokenizer(setting.language)}|stem:no|wordnet:no"
        return (
            partial(split_words, language=setting.language),
            {"stemmer": _NoStems(), "wordnet": _NoSynonyms()},
            described,
        )
    if setting.wordnet is None:
        raise GradsError("metric 'meteor' needs WordNet: set 'evaluation.wordnet' in the config")
    wordnet = open_wordnet(setting.wordnet)
    described = f"sent:punkt,untrained|tok:word_tokenize|stem:porter|wordnet:{wordnet.get_version()}"
    return english_words, {"wordnet": wordnet}, described


METRIC = Metric(
    name="meteor",
    title="METEOR",
    decimals=3,
    higher_is_better=True,
    source="Lavie and Agarwal 2007; NLTK",
    compute=compute,
    wordnet=True,
)
