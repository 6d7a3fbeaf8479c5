"""Token F1: how many words a short answer shares with a right one, as SQuAD counts it."""

from collections import Counter

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, mean_result, references


def compute(rows: Rows, setting: Setting) -> Result:
    """Return the mean F1 (0 to 1) of the normalised words of prediction and reference, of several the best.

    Where either has no word left, it is 1 if both have none and else 0, as in SQuAD 2.0's official evaluation.
    """
    from grads.evaluation.metrics.tokenizing import answer_signature, answer_words

    items = []
    for row in rows:
        found = answer_words(row["prediction"], setting.language)
        items.append(max(f1(found, answer_words(text, setting.language)) for text in references(row)))
    return mean_result(items, answer_signature(rows, setting.language))


def f1(found: list[str], wanted: list[str]) -> float:
    """Return the harmonic mean of precision and recall over words, counted as often as they stand there."""
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


METRIC = Metric(
    name="token_f1",
    title="F1",
    decimals=3,
    higher_is_better=True,
    source="Rajpurkar et al. 2016 (arXiv 1606.05250), SQuAD's normalisation",
    compute=compute,
)
