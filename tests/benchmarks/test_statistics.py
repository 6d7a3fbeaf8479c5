"""The simulation of the statistics: that it computes what the tables do, and a small form of its grid."""

import numpy as np
import pytest

from benchmarks import statistics
from benchmarks.statistics import Cell, grid, measure
from benchmarks.statistics_cases import CASES, Squares, corpus_bleu, from_tables, half_widths, simulate
from benchmarks.statistics_report import holds, markdown
from benchmarks.statistics_verdicts import _mean, estimate, sample
from grads.report.statistics import samples
from grads.report.statistics.bootstrap import bleu
from grads.runtime.files import read_json


@pytest.mark.parametrize("share", [False, True])
def test_many_studies_at_once_have_the_tables_intervals(share):
    generator = np.random.default_rng(0)
    tables = generator.normal(size=(3, 3, 4, 30)) + generator.normal(size=(3, 1, 1, 30))
    tables = (tables > 1).astype(float) if share else tables
    values, items, both = from_tables(tables)
    seeds = (values[:, :, 1:] - values[:, :, :1]).var(axis=1, ddof=1) / 4
    mean = values.mean(axis=1)
    found = Squares(mean[:, 1:] - mean[:, :1], items, seeds, both, 29.0, 3.0, 1.0)
    for study in range(3):
        for claim in range(2):
            pair = [sample(tables[study, arm].T, share) for arm in (claim + 1, 0)]
            theirs = samples.difference(*pair).estimate()
            assert found.value[study, claim] == pytest.approx(theirs.value)
            for level in (0.05, 0.001):
                half = half_widths(found, level)[study, claim]
                assert half == pytest.approx(theirs.spread.half(level))


def test_the_mean_over_domains_is_the_tables():
    generator = np.random.default_rng(1)
    tables = generator.normal(size=(3, 1, 2, 4, 30))
    parts, theirs = [], []
    for place, table in enumerate(tables):
        values, items, both = from_tables(table)
        mean, seeds = values.mean(axis=1), (values[:, :, 1:] - values[:, :, :1]).var(axis=1, ddof=1) / 4
        squares = Squares(mean[:, 1:] - mean[:, :1], items, seeds, both, 29.0, 3.0, 1.0)
        parts.append(estimate(squares, 0, 0.0))
        pair = [sample(table[0, arm].T) for arm in (1, 0)]
        named = samples.difference(*pair)
        (values_of,), (one,) = named.values.values(), named.sets.values()
        (vectors,) = one.deviations.values()
        one = samples.ItemSet({str(place): vectors}, one.items, one.groups, changes=one.changes)
        theirs.append(samples.Sample({str(place): values_of}, {str(place): one}, named.size))
    ours, expected = _mean(parts), samples.average(theirs).estimate()
    assert ours.value == pytest.approx(expected.value)
    assert ours.bounds() == pytest.approx(expected.bounds())


@pytest.mark.parametrize("case", ["normal", "groups_10_strong"])
def test_drawn_sums_of_squares_are_those_of_drawn_items(case):
    """Normal values are drawn by their sufficient statistics: their means are those of the model."""
    seeds, ratio, studies = 4, 1.0, 4000
    found, one = simulate(CASES[case], studies, seeds, ratio, 3, np.random.default_rng(2)), CASES[case]
    groups = one.items // one.group
    variance = (1 + (one.group - 1) * one.correlation) / one.group
    both = 2 * variance * (1 - one.of_items) / groups / seeds
    items = 2 * variance * one.of_items / groups + both
    of_seeds = 2 * ratio * variance / groups / seeds + both
    for mean, expected in ((found.items, items), (found.seeds, of_seeds), (found.both, both)):
        assert mean.mean() == pytest.approx(expected, rel=0.05)
    assert found.value.std() == pytest.approx(found.truth, rel=0.04)
    # A shared baseline: two differences have half of their variance in common.
    assert np.corrcoef(found.items[:, 0], found.items[:, 1])[0, 1] == pytest.approx(0.25, abs=0.06)


def test_corpus_bleu_and_its_gradient():
    sums = np.array([[40.0, 44, 30, 20, 12, 7, 40, 36, 32, 28], [50.0, 44, 30, 20, 12, 7, 50, 46, 42, 38]])
    values, gradient = corpus_bleu(sums)
    np.testing.assert_allclose(values, bleu(sums, np.array([4, 4])))
    for column in range(10):
        step = np.zeros(10)
        step[column] = 1e-5
        slope = (corpus_bleu(sums + step)[0] - corpus_bleu(sums - step)[0]) / 2e-5
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 5.0, 20.0])
def test_intervals_and_families_hold(seeds, ratio):
    """The grid in small: rates with the simulation's own error, 600 studies a cell."""
    for case in ("normal", "residual", "groups_10_strong", "pooled"):
        found = measure(Cell(case, seeds, ratio, 600), np.random.default_rng(3))
        assert found["covered"] >= 0.93
        for count in (6, 40):
            assert found[f"false_{count}"] <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


@pytest.mark.parametrize(("seeds", "ratio"), [(3, 5.0), (10, 1.0)])
def test_right_and_wrong_answers_hold(seeds, ratio):
    found = measure(Cell("right", seeds, ratio, 100), np.random.default_rng(3))
    assert found["covered"] >= 0.93
    assert max(found["false_6"], found["false_40"]) <= 0.12


def test_enough_seeds_make_intervals_that_are_hardly_wider_than_with_known_variances():
    for ratio in (0.0, 1.0, 20.0):
        assert measure(Cell("normal", 12, ratio, 400), np.random.default_rng(3))["width"] <= 1.2


def test_the_grid_is_whole_and_the_page_has_every_cell(tmp_path, monkeypatch):
    cells = list(grid())
    assert len(cells) == len(CASES) * 7 * 5
    assert {cell.studies for cell in cells if cell.case == "normal"} == {10_000}
    for name in ("rare_changes", "false_verdicts", "ratios"):
        monkeypatch.setattr(statistics, name, lambda generator: [])
    monkeypatch.setattr(statistics, "SEEDS", (3, 4))
    arguments = ["--share", "0.002", "--only", "normal", "--out", str(tmp_path)]
    statistics.main(arguments)
    results = read_json(tmp_path / "statistics.json")
    assert len(results["cells"]) == 10
    text = (tmp_path / "statistics.md").read_text(encoding="utf-8")
    assert text.count(" | 20 | met |") + text.count(" | 20 | **not met** |") == 10
    assert text == markdown(results)
    # What is there is not simulated again.
    statistics.main(arguments)
    assert read_json(tmp_path / "statistics.json")["cells"] == results["cells"]


def test_a_cell_that_fails_is_said():
    cell = {"case": "normal", "seeds": 3, "ratio": 1.0, "studies": 10, "width": 1.5, "false_6": 0.01, "false_40": 0.02}
    assert holds(cell | {"covered": 0.95})
    assert not holds(cell | {"covered": 0.92})
    assert not holds(cell | {"covered": 0.95, "false_40": 0.08})
