"""How texts become words: by the domain's language, the same for all metrics that are no standard for English."""

import functools
import importlib.metadata
import re
import string
import unicodedata
from collections.abc import Callable
from typing import Any

from sacrebleu.metrics import BLEU

from grads.evaluation.metrics.contract import Rows, number_of_references, references

# sacrebleu's names of its tokenizers: what parts the words of BLEU, and those of other metrics outside English.
BLEU_TOKENIZERS = {"en": "13a", "zh": "zh", "other": "13a"}
WORD_TOKENIZERS = {"zh": "zh", "other": "intl"}
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def split_words(text: str, language: str) -> list[str]:
    """Return the lower-cased words of a text that is not English: each Chinese character is a word of its own."""
    return _tokenizer(WORD_TOKENIZERS[language])(text.lower()).split()


@functools.cache
def _tokenizer(name: str) -> Callable[[str], str]:
    tokenizer: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    return tokenizer


def answer_words(text: str, language: str) -> list[str]:
    """Return a short answer's words, normalised as by SQuAD's official evaluation (arXiv 1606.05250).

    Lower case, without punctuation, without the articles a, an, the. Outside English no word is an article, and all of
    Unicode's punctuation goes; Chinese is compared by characters.
    """
    text = text.lower()
    if language == "en":
        return ARTICLES.sub(" ", text.translate(PUNCTUATION)).split()
    kept = "".join(character for character in text if not unicodedata.category(character).startswith("P"))
    return split_words(kept, "zh") if language == "zh" else kept.split()


def answer_signature(rows: Rows, language: str) -> str:
    """Return the signature of metrics on normalised short answers."""
    norm = {
        "en": "squad",
        "zh": f"lower,no-punctuation|tok:{sacrebleu_tokenizer('zh')}",
        "other": "lower,no-punctuation",
    }
    return f"nrefs:{number_of_references(rows)}|norm:{norm[language]}"


def sacrebleu_tokenizer(language: str) -> str:
    """Return how signatures call the tokenizer of `split_words`."""
    return f"sacrebleu-{WORD_TOKENIZERS[language]}-{importlib.metadata.version('sacrebleu')}"


def reference_streams(rows: Rows) -> Any:
    """Return the right answers as sacrebleu takes them: one list for each place, None where a row has fewer."""
    answers = [references(row) for row in rows]
    most = max(map(len, answers))
    return [[texts[place] if place < len(texts) else None for texts in answers] for place in range(most)]
