"""chrF: F-score of character n-grams, by sacrebleu."""

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, references


def compute(rows: Rows, setting: Setting) -> Result:
    """Return corpus chrF (0 to 100) with sacrebleu's defaults, whatever the language, and each item's share in it.

    `counts` holds for each item, for n = 1 to 6 in turn, the character n-grams of prediction, reference and both:
    chrF of their sums is the corpus value. Of several references, an item's best counts. `items` are sentence chrF, for
    display.
    """
    from sacrebleu.metrics import CHRF

    from grads.evaluation.metrics.tokenizing import reference_streams

    metric = CHRF()
    predictions = [row["prediction"] for row in rows]
    streams = reference_streams(rows)
    score = metric.corpus_score(predictions, streams)
    return {
        "value": score.score,
        "n": len(rows),
        "signature": str(metric.get_signature()),
        "items": [metric.sentence_score(row["prediction"], references(row)).score for row in rows],
        # sacrebleu gives these counts only so; its version is pinned and a test compares their sums with its score.
        "counts": [list(map(int, item)) for item in metric._extract_corpus_statistics(predictions, streams)],
    }


METRIC = Metric(
    name="chrf",
    title="chrF",
    decimals=2,
    higher_is_better=True,
    source="Popović 2015; sacrebleu's defaults",
    compute=compute,
)
