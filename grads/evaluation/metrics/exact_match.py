"""Exact match: whether a short answer is a right one, word for word, as SQuAD counts it."""

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, mean_result, references


def compute(rows: Rows, setting: Setting) -> Result:
    """Return the share (0 to 1) of predictions that equal a reference once both are normalised."""
    from grads.evaluation.metrics.tokenizing import answer_signature, answer_words

    def words(text: str) -> list[str]:
        return answer_words(text, setting.language)

    items = [float(words(row["prediction"]) in [words(text) for text in references(row)]) for row in rows]
    return mean_result(items, answer_signature(rows, setting.language))


METRIC = Metric(
    name="exact_match",
    title="EM",
    decimals=3,
    higher_is_better=True,
    source="Rajpurkar et al. 2016 (arXiv 1606.05250), SQuAD's normalisation",
    compute=compute,
)
