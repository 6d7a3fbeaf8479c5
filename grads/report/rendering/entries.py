"""What the tables share: entries, the columns of the CSV files, notes, and the marks of runs."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from grads.config.study import Study
from grads.report.rendering.layout import Entry, number, places, signed, spread
from grads.report.statistics.estimates import Estimates, Quantity, Run, untuned_run
from grads.report.statistics.samples import CROSSED, ITEMS_ONLY, LEAST_SEEDS, Estimate
from grads.study.controls import TEST_PROMPTS
from grads.study.published import Place, read_published


def fact_columns(
    study: Study, estimates: Estimates, of: tuple[str, str, Run], quantity: Quantity, about: dict[str, Any], change: str
) -> dict[str, Any]:
    """Return a row of a CSV file.

    Args:
        study: the study.
        estimates: of its long table.
        of: model, domain and run that the row is about.
        quantity: what was measured.
        about: columns that name the quantity; they stand before the estimate.
        change: name of the difference to the untuned model; its columns are left out where there is no such model.
    """
    model, domain, run = of
    one = estimates.of(*of, quantity)
    fact = {"study": study.study, "model": model, "domain": domain, "arm": run.arm, "ratio": run.ratio} | about
    fact |= value_columns(one)
    if untuned := untuned_run(study):
        gain = estimates.difference(*of, untuned, quantity)
        fact |= estimate_columns(change, gain)
    return fact


def coverage(study: Study) -> str:
    """Return what the study's intervals hold, and what they do not."""
    if len(study.seeds) < LEAST_SEEDS:
        seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
        return f"{ITEMS_ONLY}, of the test items and not of the seeds ({seeds})"
    return (
        f"{CROSSED}, which are crossed ({len(study.seeds)} seeds; each part with its own t quantile); the untuned "
        "model has no seeds"
    )


def groups_note(counts: Iterable[tuple[str, Estimate]]) -> list[str]:
    """Return the sentence that says of what there are fewer groups than items; none where each item is its own."""
    parts = dict.fromkeys(f"{name} {one.n} in {one.groups}" for name, one in counts if 0 < one.groups < one.n)
    if not parts:
        return []
    return [f"Items that belong together are drawn together; items and their groups: {', '.join(parts)}."]


def method_note(frame: pd.DataFrame) -> list[str]:
    """Return the sentence that says where the method of each arm comes from, if there are any."""
    chosen = frame[(frame["part"] == "cost") & (frame["task"] == "selection") & (frame["metric"] == "requested")]
    sources: dict[str, list[str]] = {}
    for arm, source in chosen[["arm", "signature"]].drop_duplicates().itertuples(index=False):
        sources.setdefault(source, []).append(arm)
    if not sources:
        return []
    return ["Methods: " + "; ".join(f"{', '.join(arms)}: {source}" for source, arms in sources.items()) + "."]


def interval_note(study: Study) -> str:
    """Return the sentence that says what stands after a value."""
    return f"± is half the 95 % interval: {coverage(study)}."


def ranked_column(
    found: Sequence[Estimate],
    decimals: int,
    higher_is_better: bool,
    ranks: Sequence[bool] | None = None,
    marks: Sequence[str] | None = None,
    signs: bool = False,
) -> list[Entry]:
    """Return a column of estimates as they are printed: values, then half the intervals' widths and the marks.

    Args:
        found: the estimates.
        decimals: how many are printed.
        higher_is_better: direction.
        ranks: which of them are compared for the best and the second, if they have an interval; all when not given.
        marks: what stands after each interval.
        signs: whether values bear their sign, as changes do.
    """
    picked = [index for index, one in enumerate(found) if one.has_interval and (ranks is None or ranks[index])]
    ranking = places([found[index].value for index in picked], decimals, higher_is_better)
    place = dict(zip(picked, ranking, strict=True))
    write = signed if signs else number
    asides = [f"{spread(one.half, decimals)} {marks[i] if marks else ''}".strip() for i, one in enumerate(found)]
    return [
        Entry(write(one.value, decimals), aside, place.get(index, 0))
        for index, (one, aside) in enumerate(zip(found, asides, strict=True))
    ]


def with_published(
    study: Study, column: Sequence[Entry], of: tuple[str, str], rows: Sequence[Run], measure: str, decimals: int
) -> list[Entry]:
    """Return a column of a model and domain with the published values of a measure in square brackets."""
    known = read_published(study)
    entries = []
    for entry, run in zip(column, rows, strict=True):
        if one := known.get(Place(*of, run.title, measure)):
            aside = f"{entry.aside} [{number(one.value, decimals)}]".strip()
            entry = dataclasses.replace(entry, aside=aside)
        entries.append(entry)
    return entries


def published_columns(study: Study, of: tuple[str, str, Run], measure: str) -> dict[str, Any]:
    """Return the columns of a CSV file; none where the study names no published values."""
    if not study.published:
        return {}
    one = read_published(study).get(Place(of[0], of[1], of[2].title, measure))
    return {"published": one.value if one else None, "source": one.source if one else ""}


def published_note(study: Study, measures: Sequence[str]) -> list[str]:
    """Return the sentence that says where the published values of some measures come from, if there are any."""
    known = sorted((one.source, place.run) for place, one in read_published(study).items() if place.measure in measures)
    said = [
        f"{', '.join(sorted({run for _, run in group}))}: {source}"
        for source, group in itertools.groupby(known, key=lambda pair: pair[0])
    ]
    return [f"In square brackets the published value, for {'; '.join(said)}."] if said else []


def value_columns(one: Estimate) -> dict[str, Any]:
    """Return what is known of a value as columns of a CSV file."""
    bounds = {"value": one.value, "low": one.low, "high": one.high}
    return bounds | {"interval": one.kind, "items": one.n, "groups": one.groups, "seeds": one.seeds}


def estimate_columns(name: str, one: Estimate) -> dict[str, float]:
    """Return value and bounds as columns of a CSV file."""
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


class RunMarks:
    """Knows which runs a reader must be warned of, and marks them.

    A dagger says that the method returned fewer records than the ratio asks for, a double dagger that it saw examples
    of the target task, a section sign that it was trained with settings of its own, a paragraph sign that it is
    another arm's run, scaled, and a double bar that it learns from the prompts of the test set.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        chosen = frame[(frame["part"] == "cost") & (frame["task"] == "selection")]
        cell = ["model", "domain", "arm", "ratio", "seed"]
        counts = chosen.pivot(index=cell, columns="metric", values="value")
        self._short = (
            {key[:4] for key in counts[counts["actual"] < counts["requested"]].index} if len(counts) else set()
        )
        self._target = set(chosen[(chosen["metric"] == "uses_target") & (chosen["value"] > 0)]["arm"])
        trained = frame[(frame["part"] == "cost") & (frame["task"] == "training")]
        self._departing = _signed(trained[trained["metric"] == "departures"])
        scaled = trained[trained["metric"] == "scaled"]
        factors = dict(zip(scaled["arm"], scaled["value"], strict=True))
        self._scaled = {arm: f"{factors[arm]:g} of {other}" for arm, other in _signed(scaled).items()}
        self._at_test_time = set(trained[trained["metric"] == TEST_PROMPTS]["arm"])

    def mark(self, model: str | None, run: Run, domain: str | None = None) -> str:
        """Return the marks of a run; a shortfall counts of any model, and on any domain, where none is named."""
        short = any(
            (run.arm, run.ratio) == key[2:] and model in (None, key[0]) and domain in (None, key[1])
            for key in self._short
        )
        own = "§" * (run.arm in self._departing) + "¶" * (run.arm in self._scaled)
        own += "‖" * (run.arm in self._at_test_time)
        return "†" * short + "‡" * (run.arm in self._target) + own

    def notes(self) -> list[str]:
        """Return the sentences that explain the marks that are used."""
        short = "† The method returned fewer records than the ratio asks for."
        target = "‡ The method sees examples of the target task (validation records) when it selects."
        own = f"§ Trained with settings that are not the study's: {_listed(self._departing)}."
        scaled = (
            "¶ Not trained: so much of the change that another arm's run made to the weights, whose training was spent "
            f"once: {_listed(self._scaled)}."
        )
        at_test_time = (
            "‖ It learns from the prompts of the test set, not their answers, and is never ranked with others."
        )
        marked = {
            short: self._short,
            target: self._target,
            own: self._departing,
            scaled: self._scaled,
            at_test_time: self._at_test_time,
        }
        return [note for note, used in marked.items() if used]


def _signed(rows: pd.DataFrame) -> dict[str, str]:
    """Return the signature of each arm that has such rows; it is the same for all cells of an arm."""
    return {} if rows.empty else dict(zip(rows["arm"], rows["signature"], strict=True))


def _listed(by_arm: Mapping[str, str]) -> str:
    return "; ".join(f"{arm} ({said})" for arm, said in by_arm.items())
