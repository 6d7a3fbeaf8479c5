import math

import pandas as pd

from grads.report.drawing.heatmap import overlap_figure

FACTS = pd.DataFrame(
    [
        ("tiny", "law", "0.5", "random", "grads", 0.5, 0.25, -0.5),
        ("tiny", "law", "0.5", "random", "random", 0.4, 0.25, 0.1),
        ("tiny", "law", "0.5", "random", "full_steps", 0.3, 1.0, math.nan),
        ("tiny", "tax", "0.05", "random", "grads", math.nan, math.nan, math.nan),
    ],
    columns=["model", "domain", "ratio", "arm", "other", "jaccard", "jaccard_by_chance", "spearman"],
)


def drawn(panel):
    return {text.get_position(): text.get_text() for text in panel.texts}


def test_numbers_stand_where_the_axes_say(study):
    figure = overlap_figure(study, FACTS)
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title(loc="left") for panel in panels] == ["Tiny_1, Law: ratio 0.5", "Tiny_1, Tax: ratio 0.05"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["random", "grads", "full_steps"]
    # Column, row: below the diagonal the index, above it the correlation, nothing where there is none.
    assert drawn(panels[0]) == {
        (0, 0): "0.40\n(0.25)",
        (0, 1): "0.50\n(0.25)",
        (1, 0): "\u22120.50",
        (0, 2): "0.30\n(1.00)",
    }
    shade = panels[0].images[0].get_array()
    assert shade[1, 0] == (0.5 - 0.25) / 0.75
    assert shade[0, 1] == -0.5
    assert shade[2, 0] == 0
    assert drawn(panels[1]) == {}


def test_without_pairs_there_is_an_empty_figure(study):
    assert [panel.axison for panel in overlap_figure(study, FACTS[:0]).axes] == [False]
