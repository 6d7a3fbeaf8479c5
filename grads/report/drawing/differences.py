"""Paired differences of every run to full data and to a random subset of its ratio, with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grads.config.study import Study
from grads.report.building.domain import domain_table
from grads.report.building.forgetting import MEAN, forgetting_table
from grads.report.drawing.claimed import Measure, axis_label, forgotten, learnt
from grads.report.drawing.style import ROW, arm_style, panels, run_rows, trained_runs
from grads.report.statistics.comparisons import SIGNIFICANCE
from grads.report.statistics.estimates import Estimates, Run
from grads.report.statistics.samples import CROSSED, LEAST_SEEDS
from grads.study.claim_sentences import GENERAL

_WIDTH = 1.9
_SAID = {"full": "difference to full", "random": "difference to random, same ratio"}
"""The baselines, and what the axes of their panels say."""


@dataclass(frozen=True)
class Row:
    """A row of panels: the differences in a measure to a baseline, of one model.

    Attributes:
        model: its key in the study.
        baseline: `full` or `random`.
        measure: the measure.
        facts: the rows of a table's CSV file that have such a difference.
    """

    model: str
    baseline: str
    measure: Measure
    facts: pd.DataFrame

    def runs(self, study: Study) -> list[Run]:
        """Return the runs that have a difference somewhere, in the order of the config."""
        known = set(zip(self.facts["arm"], self.facts["ratio"], strict=True))
        return [run for run in trained_runs(study) if (run.arm, run.ratio) in known]


def difference_figure(study: Study, estimates: Estimates) -> Figure:
    """Return a row of panels for each model, measure and baseline, a panel for each domain, and in it a line per run.

    The measures are those of the study's claims (`learnt`, `forgotten`). Numbers are those of the tables `domain` and
    `forgetting`: the difference, paired by item and seed, with its 95 % interval; where a table has a mean over domains
    with its comparison, so has the figure. A filled marker is told from 0 after Holm's correction.
    """
    rows = difference_rows(study, estimates)
    domains = list(study.domains)
    others = [row.facts["domain"] for row in rows]
    domains += list(dict.fromkeys(name for names in others for name in names if name not in study.domains))
    heights = [ROW * (len(row.runs(study)) + 1) for row in rows] or [1.0]
    with panels(study, heights, [_WIDTH] * len(domains), _handles(study)) as (figure, axes):
        for panel in axes.flat:
            panel.grid(axis="y", visible=False)
        if not rows:
            axes[0, 0].set_title("no run here has a baseline", loc="left")
        for line, row in zip(axes, rows, strict=False):
            for number, (panel, domain) in enumerate(zip(line, domains, strict=True)):
                if domain not in study.domains and domain not in set(row.facts["domain"]):
                    panel.remove()
                    continue
                _draw(panel, study, row, domain)
                panel.tick_params(axis="y", labelleft=number == 0)
    return figure


def difference_rows(study: Study, estimates: Estimates) -> list[Row]:
    """Return what the tables say of the study's measures against each baseline, where they say anything."""
    gained = learnt(study)
    lost = forgotten(study)
    domain_facts = domain_table(study, estimates).tidy
    general_facts = forgetting_table(study, estimates).tidy
    of_measure = [
        (gained, domain_facts[domain_facts["metric"] == gained.name]),
        (lost, general_facts[_of_measure(general_facts, lost)]),
    ]
    found = []
    for model in study.models:
        for measure, facts in of_measure:
            for baseline in _SAID:
                column = f"against_{baseline}"
                if column not in facts:
                    continue
                mine = facts[(facts["model"] == model) & facts[column].notna()]
                if len(mine):
                    found.append(Row(model, baseline, measure, mine))
    return found


def _of_measure(facts: pd.DataFrame, measure: Measure) -> pd.Series:
    """Return which rows of the table of forgetting are about a measure."""
    if measure.name == GENERAL:
        return (facts["task"] == MEAN) & (facts["metric"] == "accuracy")
    (quantity,) = measure.quantities
    return (facts["task"] == quantity.task) & (facts["metric"] == quantity.metric)


def _draw(panel: Axes, study: Study, row: Row, domain: str) -> None:
    shown = row.runs(study)
    measure = row.measure
    places = {(run.arm, run.ratio): height for height, run in enumerate(shown)}
    for fact in row.facts[row.facts["domain"] == domain].to_dict("records"):
        value, low, high = (measure.factor * fact[f"against_{row.baseline}{bound}"] for bound in ("", "_low", "_high"))
        told_apart = fact["interval"] == CROSSED and fact[f"against_{row.baseline}_p"] <= SIGNIFICANCE
        style = arm_style(study, fact["arm"])
        panel.errorbar(
            [value], [places[fact["arm"], fact["ratio"]]],
            xerr=None if math.isnan(low) else [[value - low], [high - value]],
            color=style["color"], marker=style["marker"], markersize=4.5, linestyle="none",
            markerfacecolor=style["color"] if told_apart else "white", elinewidth=0.9, capsize=1.8,
        )  # fmt: skip
    entry = study.domains.get(domain)
    title = entry.title if entry else f"{domain} over domains"
    panel.set_title(title if len(study.models) == 1 else f"{study.models[row.model].title}, {title}", loc="left")
    panel.set_xlabel(axis_label(f"{measure.title}: {_SAID[row.baseline]}", measure.unit, measure.higher_is_better))
    run_rows(panel, shown)
    panel.axvline(0, color="#8a8a8a", linewidth=0.8, zorder=1)


def _handles(study: Study) -> Sequence[Line2D]:
    """Return the legend: what filled and open markers say."""
    look: dict[str, Any] = {"color": "#444444", "marker": "o", "markersize": 4.5, "linestyle": "none"}
    if len(study.seeds) < LEAST_SEEDS:
        said = f"difference with its 95 % interval over items only: no test with fewer than {LEAST_SEEDS} seeds"
        return [Line2D([], [], markerfacecolor="white", label=said, **look)]
    return [
        Line2D([], [], label="told from 0 after Holm's correction", **look),
        Line2D([], [], markerfacecolor="white", label="not told from 0", **look),
    ]
