"""Simulated studies: the mean squares of many comparisons with one baseline, of which none differs in truth."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sacrebleu import metrics

from grads.report.statistics.samples import Numbers, for_few_changes, joint, two_sided

NORMAL, RIGHT, BLEU = "normal", "right", "bleu"
CHUNK = 3_000_000
"""Numbers that are drawn at once."""


@dataclass(frozen=True)
class Case:
    """A kind of items.

    Attributes:
        title: of its table.
        items: in a test set.
        group: how many of them belong together.
        correlation: of the items of a group (the intraclass correlation).
        of_items: share of the variance of an item's value that is the item's own; the rest is the residual, which
            differs from seed to seed.
        domains: over how many domains, each with seeds of its own, a claim is pooled.
        kind: normal values, right and wrong answers, or corpus BLEU.
    """

    title: str
    items: int = 100
    group: int = 1
    correlation: float = 0.0
    of_items: float = 0.5
    domains: int = 1
    kind: str = NORMAL


CASES = {
    "normal": Case("Normal values, 100 items"),
    "residual": Case("Normal values, 100 items that explain little", of_items=0.02),
    "pooled": Case("Normal values, claims pooled over three domains of 100 items", domains=3),
    "right": Case("Right and wrong answers, 100 items", kind=RIGHT),
    BLEU: Case("Corpus BLEU, 100 items", kind=BLEU),
    "groups_5_weak": Case("200 items in groups of 5, correlation 0.1", 200, 5, 0.1),
    "groups_5_strong": Case("200 items in groups of 5, correlation 0.3", 200, 5, 0.3),
    "groups_10_weak": Case("200 items in groups of 10, correlation 0.1", 200, 10, 0.1),
    "groups_10_strong": Case("200 items in groups of 10, correlation 0.3", 200, 10, 0.3),
}


@dataclass(frozen=True)
class Squares:
    """What is known of each comparison: arrays of shape (studies, claims), but for `truth`.

    Attributes:
        value: the difference; its expectation is 0.
        items: A / (I S).
        seeds: B / (I S).
        both: E / (I S).
        items_freedom: degrees of freedom of `items`.
        seeds_freedom: degrees of freedom of `seeds`.
        truth: true standard error of a difference.
    """

    value: np.ndarray
    items: np.ndarray
    seeds: np.ndarray
    both: np.ndarray
    items_freedom: Numbers
    seeds_freedom: Numbers
    truth: float


def half_widths(found: Squares, level: float) -> np.ndarray:
    """Return half the intervals at a two-sided level, as `grads.report.statistics.samples.Spread.half`."""
    of_items = two_sided(found.items_freedom, level)
    of_seeds = two_sided(found.seeds_freedom, level) * np.sqrt(found.seeds)
    return np.asarray(joint(of_items * np.sqrt(found.items), of_seeds, of_items * np.sqrt(found.both)))


def misses(found: Squares, level: float) -> np.ndarray:
    """Return where the interval at a level leaves out the truth, 0."""
    return np.abs(found.value) > half_widths(found, level)


def simulate(
    case: Case, studies: int, seeds: int, ratio: float, claims: int, generator: np.random.Generator
) -> Squares:
    """Return studies with so many claims on a shared baseline, of which none differs from it.

    `ratio` is the variance of an arm's seeds over that of its mean over items with one seed.
    """
    draw = {NORMAL: _normal, RIGHT: _right, BLEU: _bleu}[case.kind]
    parts = [draw(case, studies, seeds, ratio, claims, generator) for _ in range(case.domains)]
    return _pooled(parts) if len(parts) > 1 else parts[0]


def _pooled(parts: list[Squares]) -> Squares:
    """Return the means over domains, whose seeds are their own."""
    number = len(parts)
    items, seeds, both = (
        np.array([getattr(one, name) for one in parts]) / number**2 for name in ("items", "seeds", "both")
    )
    return Squares(
        sum((one.value for one in parts), np.zeros(1)) / number,
        items.sum(axis=0),
        seeds.sum(axis=0),
        both.sum(axis=0),
        items.sum(axis=0) ** 2 / (items**2 / parts[0].items_freedom).sum(axis=0),
        seeds.sum(axis=0) ** 2 / (seeds**2 / parts[0].seeds_freedom).sum(axis=0),
        float(np.sqrt(sum(one.truth**2 for one in parts))) / number,
    )


def _normal(case: Case, studies: int, seeds: int, ratio: float, claims: int, generator: np.random.Generator) -> Squares:
    """Return studies of normal values with a variance of 1, by their sufficient statistics.

    These are the seeds' means over items, and the sums of squares of the groups' means over seeds and of the residual.
    """
    groups = case.items // case.group
    # A group's mean varies more than that of as many independent items.
    one = (1 + (case.group - 1) * case.correlation) / case.group
    of_items, of_both, of_seeds = one * case.of_items, one * (1 - case.of_items), ratio * one / groups
    items = (
        (of_items + of_both / seeds) * _against_first((studies, claims), groups - 1, generator) / (groups - 1) / groups
    )
    luck = np.sqrt(of_seeds + of_both / groups) * generator.standard_normal((studies, seeds, claims + 1))
    mean = luck.mean(axis=1) + np.sqrt(of_items / groups) * generator.standard_normal((studies, claims + 1))
    freedom = (groups - 1) * (seeds - 1)
    both = of_both * _against_first((studies, claims), freedom, generator) / freedom / groups / seeds
    truth = 2 * (of_items / groups + of_seeds / seeds + of_both / groups / seeds)
    return _squares(mean, luck, items, both, groups, float(np.sqrt(truth)))


def _squares(
    mean: np.ndarray, luck: np.ndarray, items: np.ndarray, both: np.ndarray, groups: int, truth: float
) -> Squares:
    """Return the squares of comparisons with the first arm, from values (studies, arms) and (studies, seeds, arms)."""
    seeds = luck.shape[1]
    of_seeds = (luck[:, :, 1:] - luck[:, :, :1]).var(axis=1, ddof=1) / seeds
    return Squares(
        mean[:, 1:] - mean[:, :1],
        items.astype(float),
        of_seeds,
        both.astype(float),
        groups - 1.0,
        seeds - 1.0,
        truth,
    )


def _against_first(shape: tuple[int, int], freedom: int, generator: np.random.Generator) -> np.ndarray:
    """Return squared distances of standard normal vectors to one they share, shape (studies, claims).

    Of the shared vector only its length matters: along it a vector is normal, across it a sum of squares.
    """
    first = np.sqrt(generator.chisquare(freedom, (shape[0], 1)))
    return (generator.standard_normal(shape) - first) ** 2 + generator.chisquare(freedom - 1, shape)


def _chunks(studies: int, numbers: int) -> list[int]:
    """Return into how many studies at once a cell is divided, of so many numbers each."""
    size = max(1, CHUNK // numbers)
    return [min(size, studies - start) for start in range(0, studies, size)]


def from_tables(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the seeds' values, A / (I S) and E / (I S) of the comparisons with the first arm.

    `tables` has the shape (studies, arms, seeds, items); the values of an item that differ are counted, and A allows
    for few of them.
    """
    studies, arms, seeds, count = tables.shape
    values = tables.mean(axis=3).swapaxes(1, 2)
    of_items, of_both = np.empty((studies, arms - 1)), np.empty((studies, arms - 1))
    for arm in range(1, arms):
        change = tables[:, arm] - tables[:, 0]
        average = change.mean(axis=1)
        changed = np.maximum(1, (change != 0).any(axis=1).sum(axis=1))
        of_items[:, arm - 1] = average.var(axis=1, ddof=1) / count * for_few_changes(changed, count)
        rest = change - average[:, None] - change.mean(axis=2, keepdims=True) + change.mean(axis=(1, 2), keepdims=True)
        of_both[:, arm - 1] = (rest**2).sum(axis=(1, 2)) / (count - 1) / (seeds - 1) / count / seeds
    return values, of_items, of_both


def _right(case: Case, studies: int, seeds: int, ratio: float, claims: int, generator: np.random.Generator) -> Squares:
    """Return studies of right and wrong answers: an answer is right where a normal variable is above 0.

    Its variance is that of the item's difficulty (shared by all arms), the item under an arm, the residual, and the
    seed.
    """
    difficulty, own, rest = 1.0, 0.25, 0.25
    # How much the share of right answers moves with the variable, at one half.
    slope = 1 / np.sqrt(2 * np.pi * (difficulty + own + rest))
    of_seeds = np.sqrt(ratio * 0.25 / case.items) / slope
    parts = []
    for size in _chunks(studies, case.items * seeds * (claims + 1)):
        shape = (size, claims + 1, seeds, case.items)
        latent = np.sqrt(rest) * generator.standard_normal(shape, dtype=np.float32)
        latent += np.sqrt(difficulty) * generator.standard_normal((size, 1, 1, case.items), dtype=np.float32)
        latent += np.sqrt(own) * generator.standard_normal((size, claims + 1, 1, case.items), dtype=np.float32)
        latent += of_seeds * generator.standard_normal((size, claims + 1, seeds, 1), dtype=np.float32)
        parts.append(from_tables((latent > 0).astype(np.float32)))
    values, items, both = (np.concatenate(part) for part in zip(*parts, strict=True))
    mean = values.mean(axis=1)
    return _squares(mean, values, items, both, case.items, float((mean[:, 1:] - mean[:, :1]).std()))


LEVELS, VARIANTS, POOL = 24, 4, 200


@functools.cache
def answer_counts() -> np.ndarray:
    """Return n-gram counts of real text: sentences of this project's pages, with more and more of their words replaced.

    Shape (sentences, LEVELS, VARIANTS, 10): system and reference length, correct and total n-grams of orders 1 to 4.
    """
    generator = np.random.default_rng(0)
    text = " ".join(path.read_text(encoding="utf-8") for path in sorted(Path("docs").glob("*.md")))
    sentences = [one.split() for one in text.replace("\n", " ").split(". ") if 8 <= len(one.split()) <= 40]
    words = np.array([word for sentence in sentences for word in sentence])
    picked = [sentences[i] for i in generator.permutation(len(sentences))[:POOL]]
    answers, references = [], []
    for sentence in picked:
        for level in range(LEVELS):
            for _ in range(VARIANTS):
                kept = generator.random(len(sentence)) > (level + 1) / (LEVELS + 2)
                drawn = generator.choice(words, len(sentence))
                answers.append(" ".join(np.where(kept, sentence, drawn)))
                references.append(" ".join(sentence))
    counts = np.array(metrics.BLEU()._extract_corpus_statistics(answers, [references]), dtype=np.float32)
    return counts.reshape(len(picked), LEVELS, VARIANTS, 10)


def corpus_bleu(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corpus BLEU of sums (..., 10), all orders having matches, and its gradient by each of the sums."""
    length, reference = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2:6], sums[..., 6:10]
    short = length < reference
    value = 100 * np.exp(np.where(short, 1 - reference / length, 0.0) + np.log(correct / total).mean(axis=-1))
    gradient = np.zeros(sums.shape)
    gradient[..., 0] = np.where(short, reference / length**2, 0.0)
    gradient[..., 1] = np.where(short, -1 / length, 0.0)
    gradient[..., 2:6], gradient[..., 6:10] = 0.25 / correct, -0.25 / total
    return value, gradient * value[..., None]


def _bleu(case: Case, studies: int, seeds: int, ratio: float, claims: int, generator: np.random.Generator) -> Squares:
    """Return studies of corpus BLEU by its linear approximation, on answers that replace more or fewer words."""
    pool = answer_counts()
    # Standard deviations, in levels.
    difficulty, own, rest = 4.0, 2.0, 2.0
    of_seeds = np.sqrt(ratio * (difficulty**2 + own**2 + rest**2) / case.items)
    parts = []
    for size in _chunks(studies, 10 * case.items * seeds * (claims + 1)):
        shape = (size, claims + 1, seeds, case.items)
        level = LEVELS / 2 + rest * generator.standard_normal(shape, dtype=np.float32)
        level += difficulty * generator.standard_normal((size, 1, 1, case.items), dtype=np.float32)
        level += own * generator.standard_normal((size, claims + 1, 1, case.items), dtype=np.float32)
        level += of_seeds * generator.standard_normal((size, claims + 1, seeds, 1), dtype=np.float32)
        sentences = generator.integers(len(pool), size=(size, 1, 1, case.items))
        variant = generator.integers(VARIANTS, size=shape, dtype=np.int8)
        counts = pool[sentences, np.clip(level, 0, LEVELS - 1).astype(np.int64), variant]
        sums = counts.sum(axis=3, dtype=np.float64)
        values, gradient = corpus_bleu(sums)
        influence = np.einsum("asrik,asrk->asri", counts, gradient.astype(np.float32))
        # Influences sum to nothing; `from_tables` takes values of items, whose mean is the corpus's.
        found = from_tables(influence * case.items + values[..., None])
        parts.append((values.swapaxes(1, 2), *found[1:]))
    values, items, both = (np.concatenate(part) for part in zip(*parts, strict=True))
    mean = values.mean(axis=1)
    return _squares(mean, values, items, both, case.items, float((mean[:, 1:] - mean[:, :1]).std()))
