"""`grads.compare`: two models' answers to the same items, by the statistics of tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grads.api.arguments import in_python
from grads.api.checks import check_choice, metric_setting
from grads.runtime.errors import GradsError
from grads.study.paths import WORDNET

if TYPE_CHECKING:
    from grads.api.evaluate import Scores
    from grads.api.outputs import Comparison
    from grads.evaluation.metrics.contract import Setting


@in_python
def compare(
    a: "Scores | str | Path",
    b: "Scores | str | Path",
    *,
    metrics: Sequence[str] = (),
    language: str = "en",
    wordnet: str | Path | None = None,
    chance: float | None = None,
) -> "Comparison":
    """Compare two models' answers to the same items, as `grads compare` does; items are paired by their ids.

    Args:
        a: what `evaluate` returned, JSON lines of predictions (`id`, `reference`, `prediction`), or what lm-eval wrote
            with `--log_samples`: a file of samples, or the folder of them.
        b: the same of the other model; differences are b - a.
        metrics: those to compare. Of predictions `bleu` and `chrf`, and `response_nll` where both have it, if none are
            given; of lm-eval's samples all that are a number of each item.
        language: of predictions: `en`, `zh` or `other`.
        wordnet: folder of WordNet 3.0, which METEOR needs; `resources/wordnet`, where studies install it.
        chance: probability of guessing an item right; by the number of its choices if not given, 0 where it has none.

    Returns:
        A row for each metric: both values, their difference with its interval, the test (exact for items that are right
        or wrong), the smallest difference that it could have seen, and which answers changed. It prints as a table, and
        `frame()` is a data frame.

    Raises:
        GradsError: a file cannot be read, the two have no item in common, or an item of one id is another item.
    """
    paths = [Path(path if isinstance(path, str | Path) else path.predictions) for path in (a, b)]
    return compare_paths(paths[0], paths[1], metrics, language, WORDNET if wordnet is None else Path(wordnet), chance)


def compare_paths(
    a: Path, b: Path, metrics: Sequence[str], language: str, wordnet: Path, chance: float | None
) -> "Comparison":
    """Compare the answers at two paths, as `compare` does; errors name the options of the command."""
    from grads.api.outputs import compare_outputs

    if chance is not None and not 0 <= chance < 1:
        raise GradsError(f"--chance {chance}: give a probability of at least 0 and below 1")
    return compare_outputs(a, b, list(metrics), _setting(metrics, language, wordnet), chance)


def _setting(metrics: Sequence[str], language: str, wordnet: Path) -> "Setting":
    """Return what metrics of predictions are told; of names that are lm-eval's nothing is checked here."""
    from grads.evaluation.metrics.contract import LANGUAGES, Setting
    from grads.evaluation.metrics.registry import metrics as known

    check_choice(language, LANGUAGES, "--language")
    ours = [name for name in metrics if name in known()]
    return metric_setting(ours, language, wordnet)[1] if ours else Setting(language, None)
