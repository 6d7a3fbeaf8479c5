"""The bars: what the probe has to reach against each peer, as ratios of median times or of peak memory."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.client import Run


@dataclass(frozen=True)
class Bar:
    """`ours` may take at most `most` times the seconds of `peer`."""

    ours: str
    peer: str
    most: float


def _against_peers(ours: str) -> list[Bar]:
    """Return the bars of one kind of signal alone, `ours`, against the peers."""
    compiled = f"{ours}-compiled"
    return [
        Bar(ours, "plain", 0.9),
        Bar(compiled, "plain-compiled", 0.8),
        Bar(compiled, "plain", 0.65),
        Bar(ours, "one-by-one-projected", 1 / 3.5),
        Bar(compiled, "one-by-one-projected", 1 / 5),
        Bar(ours, "bergson", 1 / 2.2),
        Bar(compiled, "bergson", 1 / 3.2),
    ]


TIME = [
    *_against_peers("signals"),
    *_against_peers("kronecker"),
    Bar("all", "signals", 1.6),
    Bar("all-compiled", "signals-compiled", 1.6),
]
# Ours at the same token budget against plain training, of the whole process and of what is above the loaded model.
MEMORY = 1.1


def median_seconds(runs: Sequence[Run]) -> float:
    """Return the median of the runs' wall seconds."""
    return statistics.median(run.seconds for run in runs)


def ratio(runs: Mapping[str, Sequence[Run]], name: str, other: str) -> float | None:
    """Return median seconds of one over those of the other, or None where one was not run."""
    if not runs.get(name) or not runs.get(other):
        return None
    return median_seconds(runs[name]) / median_seconds(runs[other])


@dataclass(frozen=True)
class Outcome:
    """A bar and what was found."""

    bar: Bar
    found: float

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.found <= self.bar.most


def outcomes(runs: Mapping[str, Sequence[Run]]) -> list[Outcome]:
    """Return the outcome of every bar both of whose contestants were run."""
    found = [(bar, ratio(runs, bar.ours, bar.peer)) for bar in TIME]
    return [Outcome(bar, value) for bar, value in found if value is not None]
