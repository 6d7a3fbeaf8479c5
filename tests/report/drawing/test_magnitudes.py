import dataclasses

import numpy as np
import pandas as pd
import pytest

from grads.report.drawing.magnitudes import magnitude_figure, magnitudes_of
from grads.report.pool import pools
from grads.report.registry import selection_figures

SCORES = dict(zip("abcdef", (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), strict=True))


@pytest.fixture
def files(study, choose):
    """Arm grads_density, which reads norms, keeps a to c; random keeps the last one, or none but f."""
    chosen = choose(study, {("random", "0.05", 0): ("f", SCORES), ("grads_density", "0.5", 0): ("abc", SCORES)})
    store = chosen[-1].stores["warm"] / "signals.parquet"
    norms = dict(zip("abcdef", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0), strict=True))
    signals = pd.read_parquet(store)
    signals.assign(head_l2=signals["id"].map(norms)).to_parquet(store)
    return chosen


def test_magnitudes_are_the_norms_of_what_each_run_keeps(study, files):
    (pool,) = pools(study, files)
    (found,) = magnitudes_of(study, pool)
    assert found.label == "gradient norm (head),\nmodel after the preliminary epoch"
    assert sorted(found.pool) == [1, 2, 4, 8, 16, 32]
    assert {title: sorted(values) for title, _, values in found.kept} == {
        "random@0.05": [32.0],
        "grads_density@0.5": [1.0, 2.0, 4.0],
    }


def test_boxes_hold_the_middle_half_and_the_histogram_all_records(study, files):
    (pool,) = pools(study, files)
    figure = magnitude_figure(study, magnitudes_of(study, pool))
    (panel,) = figure.axes
    assert panel.get_xscale() == "log"
    assert [label.get_text() for label in panel.get_yticklabels()] == ["random@0.05", "grads_density@0.5"]
    box = [container.patches[0] for container in panel.containers][1]
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((1.5, 3.0))
    (pool_bars,) = [patch for patch in panel.patches if hasattr(patch, "get_data")]
    heights = pool_bars.get_data().values - pool_bars.get_data().baseline
    assert np.count_nonzero(heights) == 6


def test_norms_of_a_model_that_scored_are_not_the_models_own(study, files):
    other = [dataclasses.replace(one, own=False) for one in files]
    (pool,) = pools(study, other)
    assert magnitudes_of(study, pool) == []
    assert [one.name for one in selection_figures(files)] == ["overlap", "magnitudes"]
    assert [one.name for one in selection_figures(other)] == ["overlap"]


def test_a_study_whose_methods_read_no_norms_has_none(study, choose):
    files = choose(study, {("random", "0.05", 0): ("f", SCORES)})
    (pool,) = pools(study, files)
    assert magnitudes_of(study, pool) == []
