import numpy as np
import pandas as pd
import pytest

from grads.report.building.extremes import LETTERS, cut, ends, extreme_facts, extreme_table
from grads.report.pool import Selected, pools
from grads.report.rendering.html import page
from grads.report.rendering.render import markdown

SCORES = dict(zip("abcdef", (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), strict=True))


@pytest.mark.parametrize(
    ("count", "best", "worst"),
    [(3, [2, 1, 0], []), (12, list(range(11, 1, -1)), [0, 1]), (30, list(range(29, 19, -1)), list(range(10)))],
)
def test_no_record_is_at_both_ends(count, best, worst):
    rank = np.arange(count, 0, -1.0)
    assert ends(Selected(-rank, rank, rank < 3)) == {"best": best, "worst": worst}


def test_records_that_were_not_eligible_are_at_neither_end():
    rank = np.array([2, np.nan, 1])
    assert ends(Selected(-rank, rank, rank == 1)) == {"best": [2, 0], "worst": []}


def test_records_come_with_what_the_method_read(study, choose):
    choices = {("random", "0.05", 0): ("f", SCORES), ("random", "0.5", 0): ("abc", SCORES)}
    files = choose(study, choices | {("grads_density", "0.5", 0): ("abc", SCORES)})
    [pool] = pools(study, files)
    facts = pd.DataFrame(extreme_facts(study, pool))
    # Each arm at its first ratio only.
    assert facts.groupby("arm", sort=False)["ratio"].unique().map(list).to_dict() == {
        "random": ["0.05"],
        "grads_density": ["0.5"],
    }
    random, density = (facts[facts["arm"] == arm].set_index("rank") for arm in ("random", "grads_density"))
    assert random["id"].tolist() == list("fabcde")
    assert random["kept"].tolist() == [True] + [False] * 5
    assert random["score"].tolist() == [1, 6, 5, 4, 3, 2]
    assert density["warm.response_nll"].tolist() == [1, 2, 3, 4, 5, 6]
    assert density["warm.head_l2"].tolist() == [2] * 6
    assert random[["warm.response_nll", "warm.head_l2"]].isna().all(axis=None)
    assert density.loc[1, "instruction"] == "What is a?"
    assert density.loc[1, "response_tokens"] == 1


def test_arms_that_score_all_alike_are_left_out(study, choose):
    files = choose(study, {("random", "0.5", 0): ("abc", dict.fromkeys("abcdef", 1.0))})
    [pool] = pools(study, files)
    assert extreme_facts(study, pool) == []


def test_texts_are_one_line_cut_and_mean_nothing_in_the_pages(study, choose):
    [pool] = pools(study, choose(study, {("grads_density", "0.5", 0): ("abc", SCORES)}))
    table = extreme_table(study, pd.DataFrame(extreme_facts(study, pool)))
    assert [block.title for block in table.blocks] == ["Tiny_1, Law: grads_density@0.5, best"]
    first = table.blocks[0].rows[0]
    plain = ["a", "1", "6", "yes", "1", "warm.head_l2 2; warm.response_nll 1", "What is a?"]
    assert [entry.text for entry in first[:-1]] == plain
    assert len(first[-1].text) <= LETTERS
    assert first[-1].text.endswith("…")
    assert r"a \| \<b\> a" in markdown(table)
    assert "<b>" not in page(table)
    assert "a | &lt;b&gt; a" in page(table)
    assert cut("  two\n\nlines ") == "two lines"
    assert cut("x" * LETTERS) == "x" * LETTERS
    assert len(cut("x" * (LETTERS + 1))) == LETTERS


def test_a_record_is_shown_with_what_the_data_call_it(study, choose):
    files = choose(study, {("grads_density", "0.5", 0): ("abc", SCORES)})
    records = pd.read_parquet(files[0].records)
    records["own_id"] = ["mine-7", *[""] * (len(records) - 1)]
    records.to_parquet(files[0].records)
    [pool] = pools(study, files)
    table = extreme_table(study, pd.DataFrame(extreme_facts(study, pool)))
    assert [row[0].text for row in table.blocks[0].rows[:2]] == ["a (mine-7)", "b"]
    columns = table.tidy.columns.tolist()
    assert columns[columns.index("id") + 1] == "own_id"
    assert table.tidy["own_id"].dropna().tolist() == ["mine-7"]
