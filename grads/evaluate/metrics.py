"""Domain metrics, computed from stored predictions alone."""

import importlib.metadata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import meteor_score
from sacrebleu.metrics import BLEU, CHRF

from grads.data.wordnet import open_wordnet
from grads.runtime.errors import GradsError
from grads.runtime.files import read_jsonl, write_json

Rows = Sequence[dict[str, Any]]
Metric = dict[str, Any]
LENGTHS = ("capped", "new_tokens")


def compute_metrics(
    predictions: Path,
    names: Sequence[str],
    wordnet_folder: Path | None,
    out: Path,
    beside: Sequence[str] = LENGTHS,
) -> None:
    """Compute the metrics `names` of a predictions file and write them to `out` as JSON.

    Each metric is `{value, n, items}`, `items` in the order of the predictions; BLEU, chrF and METEOR have a
    `signature`, BLEU and chrF the `counts` that make up the corpus value. `capped` (share of answers that hit the limit
    of new tokens) and `new_tokens` (mean length of an answer) stand beside them.

    Args:
        predictions: JSON lines with `reference` and `prediction`, and what evaluation put beside them.
        names: of `bleu`, `chrf`, `meteor`, `response_nll`.
        wordnet_folder: where WordNet was installed; only METEOR needs it.
        out: the file to write.
        beside: numbers of each item whose means stand beside the metrics; other tools' predictions may have none.

    Raises:
        GradsError: no predictions, a field that a metric needs is missing, or METEOR without WordNet.
    """
    fields = ["reference", "prediction", *beside, *(name for name in names if name == "response_nll")]
    rows = _read(predictions, fields)
    computers: dict[str, Callable[[Rows], Metric]] = {
        "bleu": bleu,
        "chrf": chrf,
        "meteor": lambda rows: meteor(rows, _wordnet(wordnet_folder)),
    }
    result = {name: computers[name](rows) if name in computers else mean_of(rows, name) for name in [*names, *beside]}
    write_json(out, result)


def _read(path: Path, fields: Sequence[str]) -> Rows:
    rows = read_jsonl(path)
    if not rows:
        raise GradsError(f"{path} is empty: there is nothing to compute metrics from; run its evaluation again")
    for number, row in enumerate(rows, start=1):
        missing = [field for field in fields if field not in row]
        if missing:
            raise GradsError(f"{path}:{number} has no '{missing[0]}', which its metrics need; run its evaluation again")
    return rows


def _wordnet(folder: Path | None) -> Any:
    if folder is None:
        raise GradsError("metric 'meteor' needs WordNet: set 'evaluation.wordnet' in the config")
    return open_wordnet(folder)


def bleu(rows: Rows) -> Metric:
    """Return corpus BLEU (0 to 100) with sacrebleu's defaults, and each item's share in it.

    `counts` holds each item's matched (`correct`) and possible (`total`) n-grams for n = 1 to 4 and both lengths:
    `BLEU.compute_bleu` of their sums is the corpus value. `items` are sentence BLEU with effective order, for display.
    """
    corpus = BLEU()
    score = corpus.corpus_score(_texts(rows, "prediction"), [_texts(rows, "reference")])
    sentence = BLEU(effective_order=True)
    scores = [sentence.sentence_score(row["prediction"], [row["reference"]]) for row in rows]
    return {
        "value": score.score,
        "n": len(rows),
        "signature": str(corpus.get_signature()),
        "items": [item.score for item in scores],
        "counts": [
            {"correct": item.counts, "total": item.totals, "sys_len": item.sys_len, "ref_len": item.ref_len}
            for item in scores
        ],
    }


def chrf(rows: Rows) -> Metric:
    """Return corpus chrF (0 to 100) with sacrebleu's defaults, and each item's share in it.

    `counts` holds for each item, for n = 1 to 6 in turn, the character n-grams of prediction, reference and both:
    chrF of their sums is the corpus value. `items` are sentence chrF, for display.
    """
    metric = CHRF()
    predictions, references = _texts(rows, "prediction"), _texts(rows, "reference")
    score = metric.corpus_score(predictions, [references])
    return {
        "value": score.score,
        "n": len(rows),
        "signature": str(metric.get_signature()),
        "items": [metric.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)],
        "counts": [list(map(int, item)) for item in metric._extract_corpus_statistics(predictions, [references])],
    }


def meteor(rows: Rows, wordnet: Any) -> Metric:
    """Return METEOR (0 to 1): the mean of NLTK's item scores, lower-cased, words split with `preserve_line=True`.

    Lavie and Agarwal 2007 with NLTK's alpha 0.9, beta 3, gamma 0.5, Porter stems and the given WordNet's synonyms.
    """
    split = partial(word_tokenize, preserve_line=True)
    items = [float(meteor_score([split(row["reference"])], split(row["prediction"]), wordnet=wordnet)) for row in rows]
    signature = f"nltk:{importlib.metadata.version('nltk')}|case:lower|tok:word_tokenize,preserve_line|stem:porter|"
    signature += f"wordnet:{wordnet.get_version()}|alpha:0.9|beta:3.0|gamma:0.5"
    return {"value": fmean(items), "n": len(rows), "signature": signature, "items": items}


def mean_of(rows: Rows, field: str) -> Metric:
    """Return the mean over items of a number that evaluation stored with each prediction."""
    items = [row[field] for row in rows]
    return {"value": fmean(items), "n": len(rows), "items": items}


def _texts(rows: Rows, field: str) -> list[str]:
    return [row[field] for row in rows]
