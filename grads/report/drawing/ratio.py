"""What a keep ratio buys: domain metrics at the ratios that were run."""

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.ratios import AUTO
from grads.config.study import Study
from grads.report.drawing.claimed import learnt, metric_label
from grads.report.drawing.style import CONTROLS, arm_style, handle, panels, place_title, places, points, reference_line
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs
from grads.report.statistics.samples import Estimate

_STEP = 0.11
"""Inches from one run to the next."""
_LEAST_SLOT = 5
"""A ratio takes as much room as so many runs at least, for its name."""
_LEAST_WIDTH = 2.6
_HEIGHT = 1.7


@dataclass(frozen=True)
class Slot:
    """The place of a keep ratio along the axis, with its runs side by side in the order of the config.

    Attributes:
        ratio: as the config writes it.
        share: of the records that it keeps.
        start: where it begins, in runs.
        width: how many runs it has room for.
        runs: its runs.
    """

    ratio: str
    share: float
    start: float
    width: float
    runs: list[Run]

    @property
    def middle(self) -> float:
        """Return the middle of its place."""
        return self.start + self.width / 2

    def place(self, run: Run) -> float:
        """Return where a run of it stands."""
        return self.middle + self.runs.index(run) - (len(self.runs) - 1) / 2

    @property
    def title(self) -> str:
        """Return the name of its tick: the ratio, below `auto` what it came to."""
        return f"{AUTO}\n{self.share:.2f}" if self.ratio == AUTO and not math.isnan(self.share) else self.ratio


def ratio_figure(study: Study, estimates: Estimates) -> Figure:
    """Return domain metrics by keep ratio: a row of panels per model and domain, points with intervals.

    A panel has a place for each ratio that was run, from `untuned` at 0 to `full` at 1, in their order and not to
    scale. The line between two points of an arm only leads the eye: nothing was measured there. Metrics are BLEU,
    METEOR and the one of the study's first claim.
    """
    claimed = learnt(study).name
    metrics = study.evaluation.metrics
    shown = [metric for metric in metrics if metric in ("bleu", "meteor", claimed)]
    found = {place: slots(study, estimates, *place) for place in places(study)}
    width = max(_LEAST_WIDTH, _STEP * max(sum(slot.width for slot in one) for one in found.values()))
    counts = {arm: sum(run.arm == arm for run in runs(study)) for arm in study.arms}
    guided = [arm for arm in study.arms if counts[arm] > 1 or study.arms[arm].method in ("untuned", "full")]
    handles = [handle(study, arm, "line" if arm in guided else "point") for arm in study.arms]
    with panels(study, [_HEIGHT] * len(found), [width] * len(shown), handles) as (figure, axes):
        for row, place in zip(axes, places(study), strict=True):
            for panel, metric in zip(row, shown, strict=True):
                panel.set_title(place_title(study, *place), loc="left")
                panel.set_ylabel(metric_label(metric))
                panel.set_xlabel("keep ratio")
                _draw(panel, study, estimates, place, metric, found[place])
    return figure


def slots(study: Study, estimates: Estimates, model: str, domain: str) -> list[Slot]:
    """Return the places of a study's keep ratios on a model and domain, by the share of the records that they keep."""
    of_ratio: dict[str, list[Run]] = {}
    for run in runs(study):
        of_ratio.setdefault(run.ratio, []).append(run)
    shares = {ratio: estimates.share(model, domain, mine[0]) for ratio, mine in of_ratio.items()}
    found: list[Slot] = []
    start = 0.0
    # Of a partial study it may not be known what `auto` comes to.
    for ratio in sorted(of_ratio, key=lambda ratio: 2 / 3 if math.isnan(shares[ratio]) else shares[ratio]):
        width = max(_LEAST_SLOT, len(of_ratio[ratio]) + 1)
        found.append(Slot(ratio, shares[ratio], start, width, of_ratio[ratio]))
        start += width
    return found


def _draw(
    panel: Axes, study: Study, estimates: Estimates, place: tuple[str, str], metric: str, found: list[Slot]
) -> None:
    def value(run: Run) -> Estimate:
        return estimates.of(*place, run, Quantity.domain(metric))

    for arm in study.arms:
        style = arm_style(study, arm)
        mine = [(slot.place(run), value(run)) for slot in found for run in slot.runs if run.arm == arm]
        x = [where for where, _ in mine]
        points(panel, x, [one for _, one in mine], style)
        if len(mine) > 1:
            guide = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 0.8, "alpha": 0.5}
            panel.plot(x, [one.value for _, one in mine], zorder=1, gid="guide", **guide)
        if style in (CONTROLS["untuned"], CONTROLS["full"]):
            reference_line(panel, mine[0][1].value, study.arms[arm].method)
    panel.set_xticks([slot.middle for slot in found], [slot.title for slot in found])
    panel.tick_params(axis="x", length=0)
    panel.grid(axis="x", visible=False)
    for slot in found[1:]:
        panel.axvline(slot.start, color="#d0d0d0", linewidth=0.6, zorder=0)
    panel.set_xlim(0, found[-1].start + found[-1].width)
