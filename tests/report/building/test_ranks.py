"""Average ranks: the example and the critical values of Demsar (2006), and a whole table."""

import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grads.report.building.ranks import critical_difference, rank, ranks_table, runs_by_ratio
from grads.report.measurements import collect
from grads.report.registry import table_names
from grads.report.rendering.render import latex, markdown, page, write_table
from grads.report.statistics.estimates import Estimates, Run
from grads.study.reading import parse_study

# Table 6 of Demsar (JMLR 7, 2006): ranks of four algorithms on 14 data sets.
EXAMPLE = [
    (4, 3, 2, 1), (1, 2, 3, 4), (4, 1, 2, 3), (4, 1, 3, 2), (4, 2, 3, 1), (1, 2.5, 4, 2.5), (3, 2, 4, 1),
    (2.5, 2.5, 4, 1), (4, 3, 2, 1), (2.5, 2.5, 2.5, 2.5), (4, 2.5, 1, 2.5), (3, 2, 4, 1), (4, 1, 2, 3), (3, 1, 4, 2),
]  # fmt: skip


def test_the_example_of_demsar():
    found = rank(np.array(EXAMPLE), higher_is_better=False)
    assert found.average == pytest.approx((3.143, 2.0, 2.893, 1.964), abs=0.0005)
    assert found.critical == pytest.approx(1.25, abs=0.005)
    # Without the correction for ties, which are few, the paper has chi squared 9.28, F(3, 39) 3.69.
    assert found.p == pytest.approx(stats.f.sf(3.69, 3, 39), abs=0.01)
    # The paper's conclusion at 5 %: C4.5 is not told from C4.5+m+cf.
    assert [found.worse(place) for place in range(4)] == [False] * 4


@pytest.mark.parametrize(
    ("number_of", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)]
)
def test_critical_differences_are_those_of_its_table_5(number_of, quantile):
    expected = quantile * math.sqrt(number_of * (number_of + 1) / (6 * 20))
    assert critical_difference(number_of, 20) == pytest.approx(expected, rel=5e-4)


def test_friedmans_test_is_scipys_with_ties():
    luck = np.random.default_rng(0)
    for _ in range(20):
        values = luck.integers(0, 5, size=(9, 4)).astype(float)
        chi = stats.friedmanchisquare(*values.T).statistic
        expected = stats.f.sf(8 * chi / (9 * 3 - chi), 3, 3 * 8)
        assert rank(values, higher_is_better=True).p == pytest.approx(expected)


def test_the_best_has_rank_one_whatever_the_direction():
    values = np.array([[1.0, 2.0, 3.0]] * 8)
    up, down = rank(values, higher_is_better=True), rank(values, higher_is_better=False)
    assert (up.average, down.average) == ((3.0, 2.0, 1.0), (1.0, 2.0, 3.0))
    # All blocks agree: that has the chance of seven blocks that repeat the order of the first.
    assert up.p == pytest.approx(6.0**-7)
    assert [up.worse(place) for place in range(3)] == [True, False, False]


def test_what_differs_by_rounding_is_tied_and_ties_say_nothing():
    values = np.full((8, 3), 0.3)
    values[:, 1] = 0.1 * 3
    found = rank(values, higher_is_better=True)
    assert found.average == (2.0, 2.0, 2.0)
    assert found.p == 1.0


def test_ranks_are_seldom_told_apart_where_nothing_differs():
    luck, rejected = np.random.default_rng(1), 0
    for _ in range(400):
        found = rank(luck.normal(size=(10, 5)), higher_is_better=True)
        rejected += any(found.worse(place) for place in range(5))
    assert rejected / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.fixture
def blocks(config):
    """The config of a study of four domains and two models: eight blocks."""
    config["domains"] = {f"d{i}": {"title": f"D {i}", "source": {"kind": "file", "path": "x"}} for i in range(4)}
    config["models"]["other"] = {"title": "Other", "source": {"kind": "tiny"}}
    config["evaluation"]["metrics"] = ["meteor", "response_nll"]
    return config


def test_the_table_is_there_from_eight_blocks_on(blocks):
    assert "ranks" in table_names(parse_study(blocks))
    del blocks["domains"]["d3"]
    assert "ranks" not in table_names(parse_study(blocks))


def test_runs_of_a_ratio_are_ranked_together_with_those_on_all_records(blocks):
    study = parse_study(blocks)
    full, tenth, half = Run("full", "1"), Run("random", "0.05"), Run("random", "0.5")
    assert runs_by_ratio(study) == {
        "0.05": [full, tenth],
        "0.5": [full, half, Run("grads_density", "0.5")],
    }
    blocks["arms"] = {name: blocks["arms"][name] for name in ("untuned", "full")}
    blocks["arms"]["masked"] = {"method": "full", "strategy": "stm"}
    # What learns from the test set is ranked with nobody.
    blocks["arms"]["seen"] = {"method": "full", "strategy": "tlm"}
    assert runs_by_ratio(parse_study(blocks)) == {"1": [full, Run("masked", "1")]}


@pytest.fixture
def frame(blocks, make_cells):
    study = parse_study(blocks | {"seeds": [0, 1, 2]})
    return study, collect(study, make_cells(study))


def test_the_ranks_of_a_table_are_those_of_its_measurements(frame):
    study, measured = frame
    table = ranks_table(study, Estimates(measured))
    assert table.header == ["arm", "METEOR", "NLL", "general accuracy", "KL"]
    assert [block.title for block in table.blocks] == ["ratio 0.05", "ratio 0.5"]
    arms = [row[0].text for row in table.blocks[1].rows]
    assert arms == ["full", "random@0.5", "grads_density@0.5", "critical difference", "p that all are alike"]
    where = measured[(measured["metric"] == "response_nll") & measured["ratio"].isin(["1", "0.5"])]
    means = where.groupby(["model", "domain", "arm"])["value"].mean().unstack("arm")
    expected = means.rank(axis=1).mean()
    facts = table.tidy.query("measure == 'response_nll' and ranked_at == '0.5'").set_index("arm")
    assert facts["average_rank"].to_dict() == pytest.approx(expected.to_dict())
    assert set(facts["blocks"]) == {8}
    assert set(facts["ranked"]) == {3}
    assert set(facts["critical_difference"]) == {critical_difference(3, 8)}
    # All drift less than full here, in every block.
    kl = table.header.index("KL")
    assert table.blocks[0].rows[0][kl].aside == "*"
    assert table.blocks[0].rows[1][kl].place == 1
    for text in (markdown(table), latex(table), page(table)):
        assert not re.search(r"\bnan\b", text, re.I)


def test_too_few_seeds_have_ranks_and_no_marks(blocks, make_cells):
    study = parse_study(blocks)
    table = ranks_table(study, Estimates(collect(study, make_cells(study))))
    assert not any(entry.aside for block in table.blocks for row in block.rows for entry in row)
    assert any("No marks" in note for note in table.notes)


def test_what_lacks_an_interval_somewhere_is_not_ranked_and_named(frame):
    study, measured = frame
    where = (measured["metric"] == "meteor") & (measured["domain"] == "d1") & (measured["arm"] == "grads_density")
    measured.loc[where, "statistic"] = ""
    table = ranks_table(study, Estimates(measured))
    row = next(row for row in table.blocks[1].rows if row[0].text == "grads_density@0.5")
    assert (row[1].text, row[1].place) == ("\u2013", 0)
    assert row[2].text != "\u2013"
    facts = table.tidy.query("measure == 'meteor' and ranked_at == '0.5'")
    assert facts["arm"].tolist() == ["full", "random"]
    assert set(facts["critical_difference"]) == {critical_difference(2, 8)}
    assert any(note.endswith("lack an interval: grads_density@0.5.") for note in table.notes)


def test_a_partial_table_ranks_what_is_whole(frame):
    study, measured = frame
    holed = measured[~((measured["domain"] == "d2") & (measured["arm"] == "full"))]
    table = ranks_table(study, Estimates(holed, partial=True))
    # Alone there is nothing to rank.
    assert {entry.text for row in table.blocks[0].rows for entry in row[1:]} == {"\u2013"}
    assert set(table.tidy["arm"]) == {"random", "grads_density"}
    assert any(note.endswith("lack an interval: full.") for note in table.notes)


def test_a_ranking_is_told_apart_only_where_friedmans_test_rejects():
    found = rank(np.array([[1.0, 2.0, 3.0]] * 8), higher_is_better=True)
    assert not dataclasses.replace(found, p=0.051).worse(0)
    assert not dataclasses.replace(found, critical=2.0).worse(0)


def test_a_single_run_is_ranked_against_nobody(blocks, make_cells, tmp_path):
    blocks["arms"] = {name: blocks["arms"][name] for name in ("untuned", "full")}
    study = parse_study(blocks)
    table = ranks_table(study, Estimates(collect(study, make_cells(study))))
    assert {entry.text for row in table.blocks[0].rows for entry in row[1:]} == {"\u2013"}
    write_table(table, tmp_path / "ranks")
    assert pd.read_csv(tmp_path / "ranks.csv").empty
