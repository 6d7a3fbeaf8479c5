"""Domain metrics as tables and figures show them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """How a domain metric is printed."""

    title: str
    decimals: int
    higher_is_better: bool

    @property
    def arrow(self) -> str:
        """Return the title with the direction of better."""
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"


MEASURES = {
    "bleu": Measure("BLEU", 2, True),
    "meteor": Measure("METEOR", 3, True),
    "chrf": Measure("chrF", 2, True),
    "response_nll": Measure("NLL", 3, False),
}
