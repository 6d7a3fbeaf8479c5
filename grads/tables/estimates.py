"""Estimates: what the measurements of a cell's seeds say together, and how arms differ, with intervals."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from grads.runtime.errors import GradsError
from grads.study.config import Study
from grads.study.grid import arm_ratios
from grads.study.ratios import AUTO
from grads.tables.statistics import interval, replicates


@dataclass(frozen=True)
class Run:
    """A row of a table: an arm at a ratio, over all of its seeds."""

    arm: str
    ratio: str

    @property
    def title(self) -> str:
        """Return `grads@0.05`, or the bare name where the arm has one ratio by nature."""
        return self.arm if self.ratio in ("0", "1") else f"{self.arm}@{self.ratio}"

    @property
    def trained(self) -> bool:
        """Whether the arm trains."""
        return self.ratio != "0"


def runs(study: Study) -> list[Run]:
    """Return the runs of a study in the order of its config."""
    return [Run(arm, ratio) for arm in study.arms for ratio in arm_ratios(study, arm)]


def untuned_run(study: Study) -> Run | None:
    """Return the run of the untuned model, none when the study has none."""
    return next((run for run in runs(study) if not run.trained), None)


class Quantity(NamedTuple):
    """What was measured: part, task and metric of the long table."""

    part: str
    task: str
    metric: str

    @classmethod
    def domain(cls, metric: str) -> "Quantity":
        """Return a metric of the domain's test set."""
        return cls("domain", "test", metric)

    @classmethod
    def general(cls, task: str, metric: str) -> "Quantity":
        """Return a metric of a general task, or of the general text (task `text`)."""
        return cls("general", task, metric)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the bounds of its interval, NaN where none can be computed; n items, and seeds."""

    value: float
    low: float
    high: float
    n: int
    seeds: int

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def half(self) -> float:
        """Return half the interval's width."""
        return (self.high - self.low) / 2


ABSENT = Estimate(math.nan, math.nan, math.nan, 0, 0)


class Estimates:
    """Answers questions on the long table. The intervals resample items only: seeds are averaged, not resampled.

    What the long table lacks is an error, unless it is `partial`: then it is NaN.
    """

    def __init__(self, frame: pd.DataFrame, partial: bool = False) -> None:
        self.frame, self.partial = frame, partial
        names = ["model", "domain", "arm", "ratio", "part", "task", "metric"]
        self._rows = dict(iter(frame.groupby(names, sort=False)))
        self._replicates: dict[tuple[str, str, Run, Quantity], np.ndarray | None] = {}

    def of(self, model: str, domain: str, run: Run, quantity: Quantity) -> Estimate:
        """Return the mean over seeds.

        Raises:
            GradsError: there is no such measurement.
        """
        if self._absent(model, domain, run, quantity):
            return ABSENT
        rows = self._group(model, domain, run, quantity)
        return _estimate(float(rows["value"].mean()), rows, self._drawn(model, domain, run, quantity))

    def difference(self, model: str, domain: str, run: Run, base: Run, quantity: Quantity) -> Estimate:
        """Return `run` minus `base`, paired: both are resampled over the same items.

        Raises:
            GradsError: a measurement is missing, or the two were measured on other items or in another way.
        """
        if any(self._absent(model, domain, one, quantity) for one in (run, base)):
            return ABSENT
        rows, other = (self._group(model, domain, one, quantity) for one in (run, base))
        ways = [set(zip(one["n"], one["signature"], strict=True)) for one in (rows, other)]
        if len(ways[0] | ways[1]) > 1:
            raise GradsError(
                f"{run.title} and {base.title} ({model}, {domain}) were not measured alike: (items, signature) of "
                f"{quantity.task} {quantity.metric} are {sorted(ways[0])} and {sorted(ways[1])}; evaluate both again"
            )
        drawn, other_drawn = (self._drawn(model, domain, one, quantity) for one in (run, base))
        paired = drawn - other_drawn if drawn is not None and other_drawn is not None else None
        return _estimate(float(rows["value"].mean() - other["value"].mean()), rows, paired)

    def share(self, model: str, domain: str, run: Run) -> float:
        """Return the share of the records that the ratio stands for; of `auto`, the mean over seeds."""
        if run.ratio != AUTO:
            return float(run.ratio)
        requested, eligible = (
            self.of(model, domain, run, Quantity("cost", "selection", metric)).value
            for metric in ("requested", "eligible")
        )
        return requested / eligible

    def signature(self, model: str, domain: str, run: Run, quantity: Quantity) -> str:
        """Return the signature of a metric, empty where it has none."""
        if self._absent(model, domain, run, quantity):
            return ""
        return str(self._group(model, domain, run, quantity)["signature"].iloc[0])

    def _absent(self, model: str, domain: str, run: Run, quantity: Quantity) -> bool:
        return self.partial and (model, domain, run.arm, run.ratio, *quantity) not in self._rows

    def _group(self, model: str, domain: str, run: Run, quantity: Quantity) -> pd.DataFrame:
        rows = self._rows.get((model, domain, run.arm, run.ratio, *quantity))
        if rows is None:
            raise GradsError(
                f"the measurements have no '{quantity.metric}' of '{quantity.task}' for {run.title} of model {model} "
                f"on {domain}; make measurements.parquet again"
            )
        return rows

    def _drawn(self, model: str, domain: str, run: Run, quantity: Quantity) -> np.ndarray | None:
        """Return the bootstrap's values of the mean over seeds, none where there are no item statistics."""
        key = (model, domain, run, quantity)
        if key not in self._replicates:
            rows = self._group(model, domain, run, quantity)
            item_set = domain if quantity.part == "domain" else quantity.task
            drawn = [
                replicates(statistic, np.array([list(item) for item in items], dtype=np.float64), item_set)
                for statistic, items in zip(rows["statistic"], rows["items"], strict=True)
                if statistic
            ]
            self._replicates[key] = np.mean(drawn, axis=0) if len(drawn) == len(rows) else None
        return self._replicates[key]


def _estimate(value: float, rows: pd.DataFrame, drawn: np.ndarray | None) -> Estimate:
    low, high = interval(drawn) if drawn is not None else (math.nan, math.nan)
    return Estimate(value, low, high, int(rows["n"].iloc[0]), len(rows))
