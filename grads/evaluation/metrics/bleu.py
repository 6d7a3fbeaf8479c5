"""BLEU: corpus n-gram precision with a brevity penalty, by sacrebleu."""

from grads.evaluation.metrics.contract import Metric, Result, Rows, Setting, references


def compute(rows: Rows, setting: Setting) -> Result:
    """Return corpus BLEU (0 to 100) with sacrebleu's defaults and the language's tokenizer, and each item's share.

    Next to it stand what sacrebleu says of lengths: the words of all predictions (`sys_len`) and of their references
    (`ref_len`), `length_ratio`, the first by the second, and `brevity_penalty`, which BLEU is multiplied with.

    `counts` holds each item's matched (`correct`) and possible (`total`) n-grams for n = 1 to 4 and both lengths, that
    of the reference nearest in length: `BLEU.compute_bleu` of their sums is the corpus value, with one reference or
    several. `items` are sentence BLEU with effective order, for display.
    """
    from sacrebleu.metrics import BLEU

    from grads.evaluation.metrics.tokenizing import BLEU_TOKENIZERS, reference_streams

    tokenizer = BLEU_TOKENIZERS[setting.language]
    corpus = BLEU(tokenize=tokenizer)
    sentence = BLEU(tokenize=tokenizer, effective_order=True)
    score = corpus.corpus_score([row["prediction"] for row in rows], reference_streams(rows))
    scores = [sentence.sentence_score(row["prediction"], references(row)) for row in rows]
    return {
        "value": score.score,
        "n": len(rows),
        "signature": str(corpus.get_signature()),
        "brevity_penalty": score.bp,
        "length_ratio": score.ratio,
        "sys_len": score.sys_len,
        "ref_len": score.ref_len,
        "items": [item.score for item in scores],
        "counts": [
            {"correct": item.counts, "total": item.totals, "sys_len": item.sys_len, "ref_len": item.ref_len}
            for item in scores
        ],
    }


METRIC = Metric(
    name="bleu",
    title="BLEU",
    decimals=2,
    higher_is_better=True,
    source="Papineni et al. 2002; sacrebleu's defaults (Post 2018, arXiv 1804.08771)",
    compute=compute,
    details=("brevity_penalty", "length_ratio"),
)
