"""Intervals of metrics files, next to what scipy says of the same numbers."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from grads.api.scored import capped_line, estimated, metric_line
from grads.evaluation.metrics.contract import mean_result


def test_a_share_has_wilsons_interval():
    found = estimated({"exact_match": mean_result([1.0] * 7 + [0.0] * 13)}, "exact_match")
    wanted = binomtest(7, 20).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_a_mean_has_the_t_interval():
    items = np.random.default_rng(0).normal(size=30)
    found = estimated({"response_nll": mean_result(items.tolist())}, "response_nll")
    wanted = t.interval(0.95, 29, items.mean(), items.std(ddof=1) / math.sqrt(30))
    assert (found.low, found.high) == pytest.approx(wanted)


def test_answers_that_belong_together_are_drawn_together():
    items = np.repeat(np.random.default_rng(0).normal(size=10), 3)
    groups = [f"document {number // 3}" for number in range(30)]
    alone, together = (
        estimated({"response_nll": mean_result(items.tolist()), **more}, "response_nll")
        for more in ({}, {"groups": groups})
    )
    firsts = items[::3]
    wanted = t.interval(0.95, 9, firsts.mean(), firsts.std(ddof=1) / math.sqrt(10))
    assert (together.low, together.high) == pytest.approx(wanted)
    assert together.high - together.low > alone.high - alone.low


def test_without_items_there_is_a_value_and_no_interval():
    results = {"bleu": {"value": 12.5, "n": 3}}
    assert not estimated(results, "bleu").has_interval
    assert metric_line(results, "bleu", []) == "bleu  12.5000  n=3"


def test_what_was_cut_is_counted():
    assert "to" not in capped_line({"capped": mean_result([1.0])}).split("(")[1].split(")")[0]
    said = capped_line({"capped": mean_result([1.0, 0.0, 1.0, 1.0])})
    wanted = binomtest(3, 4).proportion_ci(method="wilson")
    assert "3 of 4 answers" in said
    assert f"75.0 %, {100 * wanted.low:.1f} to {100 * wanted.high:.1f}" in said
    assert "raise" in said
    assert "raise" not in capped_line({"capped": mean_result([0.0, 0.0])})
    assert capped_line({}) == ""
