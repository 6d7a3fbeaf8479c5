"""Estimates: what the measurements of a cell's seeds say together, and how arms differ, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.report.statistics.bootstrap import group_items
from grads.report.statistics.samples import ABSENT, Estimate, Sample, average, difference, measured
from grads.runtime.errors import GradsError
from grads.study.controls import AT_TEST_TIME
from grads.study.grid import arm_ratios

TEXT = "text"
"""The task that stands for the general text, on which drift is measured."""


@dataclass(frozen=True)
class Run:
    """A row of a table: an arm at a ratio, over all of its seeds.

    Attributes:
        arm: key of the arm.
        ratio: its keep ratio.
        at_test_time: whether it learns from the prompts of the test set.
    """

    arm: str
    ratio: str
    at_test_time: bool = field(default=False, compare=False)

    @property
    def title(self) -> str:
        """Return `grads@0.05`, or the bare name where the arm has one ratio by nature."""
        return self.arm if self.ratio in ("0", "1") else f"{self.arm}@{self.ratio}"

    @property
    def trained(self) -> bool:
        """Whether the arm trains."""
        return self.ratio != "0"

    @property
    def ranked(self) -> bool:
        """Whether it is compared for the best: trained, and not on what it is tested with."""
        return self.trained and not self.at_test_time


def runs(study: Study) -> list[Run]:
    """Return the runs of a study in the order of its config."""
    return [
        Run(arm, ratio, declared.strategy in AT_TEST_TIME)
        for arm, declared in study.arms.items()
        for ratio in arm_ratios(study, arm)
    ]


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


class Estimates:
    """Answers questions on the long table.

    What the long table lacks is an error, unless it is `partial`: then it is none, or an estimate of NaN.
    """

    def __init__(self, frame: pd.DataFrame, partial: bool = False) -> None:
        self.frame = frame
        self.partial = partial
        names = ["model", "domain", "arm", "ratio", "part", "task", "metric"]
        self._rows = dict(iter(frame.sort_values("seed", kind="stable").groupby(names, sort=False)))
        self._samples: dict[tuple[str, str, Run, Quantity], Sample] = {}

    def of(self, model: str, domain: str, run: Run, quantity: Quantity) -> Estimate:
        """Return the mean over seeds.

        Raises:
            GradsError: there is no such measurement.
        """
        return estimate(self.sample(model, domain, run, quantity))

    def difference(self, model: str, domain: str, run: Run, base: Run, quantity: Quantity) -> Estimate:
        """Return `run` minus `base`, paired by item and by seed.

        Raises:
            GradsError: a measurement is missing, or the two were measured on other items or in another way.
        """
        pair = self.pair(model, domain, run, base, quantity)
        return ABSENT if pair is None else difference(*pair).estimate()

    def mean(self, model: str, domain: str, run: Run, quantities: Sequence[Quantity]) -> Sample | None:
        """Return the mean over several quantities, such as an accuracy over tasks; see `sample`."""
        return _average([self.sample(model, domain, run, quantity) for quantity in quantities])

    def mean_difference(
        self, model: str, domain: str, run: Run, base: Run, quantities: Sequence[Quantity]
    ) -> Sample | None:
        """Return the difference of the means over several quantities, paired by item and by seed; see `pair`."""
        pairs = [self.pair(model, domain, run, base, quantity) for quantity in quantities]
        return _average([None if pair is None else difference(*pair) for pair in pairs])

    def sample(self, model: str, domain: str, run: Run, quantity: Quantity) -> Sample | None:
        """Return the values of the seeds and how they vary over items; none where a partial long table has a hole.

        Raises:
            GradsError: there is no such measurement.
        """
        if self._absent(model, domain, run, quantity):
            return None
        key = (model, domain, run, quantity)
        if key not in self._samples:
            rows = self._group(model, domain, run, quantity)
            self._samples[key] = _sample(rows, quantity, model, domain)
        return self._samples[key]

    def pair(self, model: str, domain: str, run: Run, base: Run, quantity: Quantity) -> tuple[Sample, Sample] | None:
        """Return the samples of two runs that may be compared; none where a partial long table has a hole.

        Raises:
            GradsError: a measurement is missing, or the two were measured on other items or in another way.
        """
        samples = [self.sample(model, domain, one, quantity) for one in (run, base)]
        if samples[0] is None or samples[1] is None:
            return None
        rows, other = (self._group(model, domain, one, quantity) for one in (run, base))
        ways = [set(zip(one["n"], one["signature"], strict=True)) for one in (rows, other)]
        if len(ways[0] | ways[1]) > 1:
            raise GradsError(
                f"{run.title} and {base.title} ({model}, {domain}) were not measured alike: (items, signature) of "
                f"{quantity.task} {quantity.metric} are {sorted(ways[0])} and {sorted(ways[1])}; evaluate both again"
            )
        if len({tuple(labels) for one in (rows, other) for labels in one["item_groups"]}) > 1:
            raise GradsError(
                f"{run.title} and {base.title} ({model}, {domain}) have the items of {quantity.task} in other groups; "
                "evaluate both again"
            )
        return samples[0], samples[1]

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


def _average(samples: Sequence[Sample | None]) -> Sample | None:
    """Return the mean of quantities; none where one is missing, or there are none."""
    known = [sample for sample in samples if sample is not None]
    return average(known) if known and len(known) == len(samples) else None


def estimate(sample: Sample | None) -> Estimate:
    """Return the estimate of a sample; NaN where there is none."""
    return ABSENT if sample is None else sample.estimate()


def _sample(rows: pd.DataFrame, quantity: Quantity, model: str, domain: str) -> Sample:
    values = rows["value"].to_numpy(dtype=float)
    cells = f"{model}/{domain}"
    (statistic, *others) = set(rows["statistic"])
    # Of seeds of which one cannot be resampled, none is.
    if others or not statistic:
        return Sample({cells: values}, None, float(np.abs(values).max()), count=int(rows["n"].iloc[0]))
    tables = [np.array([list(item) for item in items], dtype=np.float64) for items in rows["items"]]
    groups = [group_items(table, list(labels)) for table, labels in zip(tables, rows["item_groups"], strict=True)]
    item_set = domain if quantity.part == "domain" else quantity.task
    return measured(values, groups, statistic, item_set, cells, right_or_wrong(quantity, statistic, tables))


def right_or_wrong(quantity: Quantity, statistic: str, tables: Sequence[np.ndarray]) -> bool:
    """Whether each item is right (1) or wrong (0); the drift of the untuned model, which is 0, is no such answer."""
    return (
        statistic == "mean"
        and quantity.task != TEXT
        and all(bool(np.isin(table, (0.0, 1.0)).all()) for table in tables)
    )
