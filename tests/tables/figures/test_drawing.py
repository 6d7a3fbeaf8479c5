import math

import pytest

from grads.tables.figures.drawing import bars, write_figure
from grads.tables.figures.ratio import ratio_figure
from grads.tables.samples import Estimate


def test_files_are_the_same_bytes_again(study, estimates, tmp_path):
    for name in ("first", "second"):
        write_figure(ratio_figure(study, estimates), tmp_path / name / "ratio")
    for suffix in ("svg", "pdf"):
        first = (tmp_path / "first" / f"ratio.{suffix}").read_bytes()
        assert first == (tmp_path / "second" / f"ratio.{suffix}").read_bytes()
        assert len(first) > 5000


def test_points_without_an_interval_have_no_bar():
    none = Estimate(1.0, math.nan, math.nan, 3, 1)
    assert bars([none, none]) is None
    assert bars([Estimate(2.0, 1.5, 4.0, 3, 1), none]).tolist() == [
        [0.5, pytest.approx(math.nan, nan_ok=True)],
        [2.0, pytest.approx(math.nan, nan_ok=True)],
    ]
