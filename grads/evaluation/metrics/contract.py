"""What a domain metric is: what it declares before any work, what it is given, and what it returns.

Read while the workflow is planned, so nothing heavy is imported here nor at the top of a metric's file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from grads.config.domains import Domain

Rows = Sequence[dict[str, Any]]
"""Predictions: `reference`, `prediction`, and `references` where a record has further right answers."""

Result = dict[str, Any]
"""`value`, `n`, `items` (a number for each prediction, in their order) and a `signature` that names all settings; where
the value is no mean of the items, also `counts` for each item, whose sums make up the value."""

LANGUAGES = get_args(Domain.model_fields["language"].annotation)


@dataclass(frozen=True)
class Setting:
    """What a metric is given in addition to the predictions.

    Attributes:
        language: of the domain: `en`, `zh`, or `other` for one that parts words by spaces.
        wordnet: folder where WordNet was installed; none where no metric needs it.
    """

    language: str = "en"
    wordnet: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's declaration, called `METRIC` in its file.

    Attributes:
        name: as the config writes it.
        title: as tables print it.
        decimals: how many tables print.
        higher_is_better: direction.
        source: publication, and whose program computes it.
        compute: from predictions to a result.
        fields: numbers of each prediction that it reads, apart from the texts.
        wordnet: whether it reads WordNet, for predictions in English.
        judged: whether its items are in a file of one's own, and not computed from the predictions.
        details: further numbers of its result that tables show next to it, by their keys there.
    """

    name: str
    title: str
    decimals: int
    higher_is_better: bool
    source: str
    compute: Callable[[Rows, Setting], Result]
    fields: tuple[str, ...] = ()
    wordnet: bool = False
    judged: bool = False
    details: tuple[str, ...] = ()

    @property
    def arrow(self) -> str:
        """Return the title with the direction of better."""
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"

    def needs_wordnet(self, language: str) -> bool:
        """Return whether it reads WordNet for predictions in a language."""
        return self.wordnet and language == "en"


def references(row: dict[str, Any]) -> list[str]:
    """Return all right answers of a prediction, the record's own first."""
    return [row["reference"], *row.get("references", ())]


def mean_result(items: list[float], signature: str = "") -> Result:
    """Return the result of a metric that is a mean over items."""
    found: Result = {"value": fmean(items), "n": len(items)}
    return found | ({"signature": signature} if signature else {}) | {"items": items}


def number_of_references(rows: Rows) -> str:
    """Return how many right answers the predictions have, as signatures write it: a number, or `var`."""
    counts = {len(references(row)) for row in rows}
    return str(counts.pop()) if len(counts) == 1 else "var"
