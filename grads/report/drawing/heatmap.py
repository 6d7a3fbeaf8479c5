"""The heat map of overlaps: a square for each pair of arms, with its number in it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grads.config.study import Study
from grads.report.drawing.style import panels

# Purple where arms agree less than chance, orange where more; both darken, and the numbers carry what is to be read.
_COLOURS = "PuOr_r"
_CELL = 0.56
_LEAST = 2.2
"""Inches: the side of a square, and the least width of all of them."""


def overlap_figure(study: Study, facts: pd.DataFrame) -> Figure:
    """Return a heat map for each model, domain and ratio, from `overlap_facts`.

    Below the diagonal stands the Jaccard index, and in brackets what chance would give; on it the index of an arm and
    itself under another seed, where there is one; above it the rank correlation of the scores. The colour is the
    agreement beyond chance, of the index (found - chance) / (1 - chance), of the correlation its own value.
    """
    places = list(facts.groupby(["model", "domain"], sort=False))
    ratios = list(dict.fromkeys(facts["ratio"]))
    side = _CELL * max((len(_arms(mine)) for _, mine in facts.groupby(["model", "domain", "ratio"])), default=1)
    widths = [max(_LEAST, side)] * max(1, len(ratios))
    with panels(study, [side] * max(1, len(places)), widths) as (figure, axes):
        for panel in axes.flat:
            panel.set_axis_off()
        for row, ((model, domain), mine) in zip(axes, places, strict=False):
            for panel, ratio in zip(row, ratios, strict=True):
                title = f"{study.models[model].title}, {study.domains[domain].title}: ratio {ratio}"
                _draw(panel, mine[mine["ratio"] == ratio], title)
    return figure


def _arms(facts: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys([*facts["arm"], *facts["other"]]))


def _draw(panel: Axes, facts: pd.DataFrame, title: str) -> None:
    arms = _arms(facts)
    if not arms:
        return
    shade = np.full((len(arms), len(arms)), np.nan)
    texts = {}
    for fact in facts.to_dict("records"):
        first, second = sorted((arms.index(fact["arm"]), arms.index(fact["other"])))
        if not np.isnan(found := fact["jaccard"]):
            chance = fact["jaccard_by_chance"]
            shade[second, first] = (found - chance) / (1 - chance) if chance < 1 else 0
            texts[second, first] = f"{found:.2f}\n({chance:.2f})"
        if first != second and not np.isnan(correlation := fact["spearman"]):
            shade[first, second] = correlation
            texts[first, second] = f"{correlation:+.2f}".replace("-", "\u2212")
    panel.set_axis_on()
    panel.grid(visible=False)
    panel.imshow(shade, cmap=_COLOURS, vmin=-1, vmax=1, aspect="auto")
    for (row, column), text in texts.items():
        colour = "white" if abs(shade[row, column]) > 0.65 else "black"
        panel.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    panel.set_title(title, loc="left")
    panel.set_xticks(range(len(arms)), arms, rotation=90)
    panel.set_yticks(range(len(arms)), arms)
    panel.tick_params(length=0)
    panel.set_xlabel("below: Jaccard (by chance); above: rank correlation", fontsize=7.5, color="#555555")
    for spine in panel.spines.values():
        spine.set_visible(False)
