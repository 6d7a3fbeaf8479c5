import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from grads.report.measurements import COLUMNS, collect, item_groups, read_measurements, write_measurements
from grads.report.statistics.bootstrap import STATISTICS, group_items
from grads.report.statistics.choices import TRANSITIONS
from grads.report.statistics.samples import measured
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_json
from grads.study.controls import TEST_PROMPTS
from grads.study.grid import cells
from grads.study.paths import judgements_file


def _edit(path, change):
    content = read_json(path)
    change(content)
    write_json(path, content)


def test_long_table_has_a_row_per_cell_and_metric_with_the_files_values(study, make_cells):
    files = make_cells(study)
    frame = collect(study, files)
    assert tuple(frame.columns) == COLUMNS
    keys = ["model", "domain", "arm", "ratio", "seed", "part", "task", "metric"]
    assert not frame.duplicated(keys).any()
    assert frame.drop_duplicates(keys[:5]).shape[0] == len(cells(study)) == 10
    one = next(one for one in files if str(one.cell) == "tiny/tax/random/0.05/0")
    mine = frame[(frame["domain"] == "tax") & (frame["arm"] == "random") & (frame["ratio"] == "0.05")]
    values = mine.set_index(["task", "metric"])["value"]
    for metric in ("bleu", "meteor", "chrf", "response_nll", "capped"):
        assert values["test", metric] == read_json(one.metrics)[metric]["value"]
    for name in ("brevity_penalty", "length_ratio"):
        assert values["test", name] == read_json(one.metrics)["bleu"][name]
    general = read_json(one.general)
    assert values["quiz", "acc"] == general["tasks"]["quiz"]["value"]
    assert values["text", "kl"] == general["drift"]["kl"]
    assert values["text", "bits_per_byte"] == general["drift"]["bits_per_byte"]
    items = general["tasks"]["quiz"]["items"]
    among = [
        item["gold_logprob"] - math.log(sum(math.exp(value) for value in item["choice_logprobs"])) for item in items
    ]
    assert values["quiz", "gold_logprob_among_choices"] == pytest.approx(sum(among) / 10)
    # The raw one stays in the long table.
    assert values["quiz", "gold_logprob"] == general["tasks"]["quiz"]["gold_logprob"]
    untuned = next(one for one in files if str(one.cell) == "tiny/tax/untuned/0/0")
    before, after = ([item["correct"] for item in read_json(path)["tasks"]["quiz"]["items"]]
                     for path in (untuned.general, one.general))  # fmt: skip
    assert values["quiz", "right_to_wrong"] == list(zip(before, after, strict=True)).count((1, 0)) / 10
    assert values["training", "steps"] == read_json(one.training)["steps"]


def test_intervals_hold_the_value_where_there_are_items(study, make_cells):
    frame = collect(study, make_cells(study)).set_index("metric")
    for metric in ("bleu", "length_ratio", "chrf", "meteor", "acc", "gold_logprob", "brier", "bits_per_byte", "nll"):
        rows = frame.loc[metric]
        assert (rows["interval"] == "items only").all()
        assert ((rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])).all()
    assert (frame.loc["new_tokens", "interval"] == "none").all()
    assert (frame.loc["brevity_penalty", "interval"] == "none").all()
    assert frame.loc["seconds", "low"].isna().all()


def test_numbers_next_to_a_metric_that_an_older_version_left_out_are_named(study, make_cells):
    files = make_cells(study)
    _edit(files[3].metrics, lambda content: content["bleu"].pop("brevity_penalty"))
    with pytest.raises(GradsError, match=r"metrics\.json has no 'bleu\.brevity_penalty'; make the file again"):
        collect(study, files)


def test_corpus_metric_without_counts_has_no_interval(study, make_cells):
    files = make_cells(study)
    for one in files:
        _edit(one.metrics, lambda content: content["chrf"].pop("counts"))
    frame = collect(study, files).set_index("metric")
    assert (frame.loc["chrf", "interval"] == "none").all()
    assert (frame.loc["chrf", "n"] == 6).all()


def test_parquet_gives_the_table_back(study, make_cells, tmp_path):
    frame = collect(study, make_cells(study))
    write_measurements(frame, tmp_path / "m.parquet")
    again = read_measurements(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(again.drop(columns="items"), frame.drop(columns="items"))
    assert [[list(row) for row in items] for items in again["items"]] == list(frame["items"])


def test_verdicts_are_rows_of_the_domain_with_intervals_of_right_and_wrong_answers(judge):
    study, files = judge()
    frame = collect(study, files)
    rows = frame[frame["metric"] == "verdict"]
    assert len(rows) == len(files)
    assert set(zip(rows["part"], rows["task"], strict=True)) == {("domain", "test")}
    row = rows.iloc[3]
    content = read_json(judgements_file(files[3].judgements, files[3].cell))["verdict"]
    assert (row["value"], row["n"], row["signature"]) == (content["value"], 6, content["signature"])
    # Wilson's, as of any share of right answers.
    known = binomtest(int(sum(content["items"])), 6).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((known.low, known.high))


def test_verdicts_that_are_not_there_are_missed_but_by_partial_tables(judge):
    study, files = judge()
    judgements_file(files[3].judgements, files[3].cell).unlink()
    with pytest.raises(GradsError, match=rf"0\.json is missing, cell {files[3].cell}"):
        collect(study, files)
    frame = collect(study, files, partial=True)
    assert (frame["metric"] == "verdict").sum() == len(files) - 1
    assert (frame["metric"] == "bleu").sum() == len(files)


def test_verdicts_of_items_in_other_groups_are_refused(judge):
    study, files = judge()
    _edit(judgements_file(files[3].judgements, files[3].cell), lambda content: content.update(groups=["a"] * 5))
    with pytest.raises(GradsError, match="5 groups for the 6 items"):
        collect(study, files)


@pytest.mark.parametrize("name", ["metrics", "general", "training", "selection", "preliminary"])
def test_missing_file_is_named_with_its_cell(study, make_cells, name):
    files = make_cells(study)
    lost = next(one for one in files if one.cell.arm == "grads_density")
    getattr(lost, name).unlink()
    with pytest.raises(GradsError, match=rf"{getattr(lost, name).name} is missing, cell tiny/law/grads_density/0.5/0"):
        collect(study, files)


def test_missing_entry_is_named(study, make_cells):
    files = make_cells(study)
    _edit(files[3].metrics, lambda content: content.pop("meteor"))
    with pytest.raises(GradsError, match=r"metrics\.json has no 'meteor'"):
        collect(study, files)


def test_value_that_its_items_do_not_give_is_refused(study, make_cells):
    files = make_cells(study)
    _edit(files[3].metrics, lambda content: content["bleu"].update(value=content["bleu"]["value"] + 0.01))
    with pytest.raises(GradsError, match=r"'bleu' of 'test' is .* its items give"):
        collect(study, files)


@pytest.mark.parametrize("value", [None, "12"])
def test_value_that_is_no_number_is_refused(study, make_cells, value):
    files = make_cells(study)
    _edit(files[3].training, lambda content: content.update(final_loss=value))
    with pytest.raises(GradsError, match=r"training\.json: 'final_loss' of 'training' is .* not a number"):
        collect(study, files)


def test_cells_must_be_those_of_the_study(study, make_cells):
    files = make_cells(study)
    with pytest.raises(GradsError, match=r"cell tiny/law/untuned/0/0 of 'toy' is missing"):
        collect(study, files[1:])
    with pytest.raises(GradsError, match=r"cell tiny/tax/grads_density/0.5/0 is given twice"):
        collect(study, [*files, files[-1]])
    stranger = dataclasses.replace(files[1], cell=dataclasses.replace(files[1].cell, seed=9))
    with pytest.raises(GradsError, match=r"cell tiny/law/full/1/9 is not in study 'toy'"):
        collect(study, [*files, stranger])


def test_costs_need_training_and_preliminary_epoch(study, make_cells):
    files = make_cells(study)
    with pytest.raises(GradsError, match="summary of the preliminary epoch is not given"):
        collect(study, [dataclasses.replace(one, preliminary=None) for one in files])
    with pytest.raises(GradsError, match="summary of the training is not given"):
        collect(study, [dataclasses.replace(one, training=None) for one in files])


def test_a_run_on_the_test_sets_prompts_says_so_in_the_table(study, make_cells):
    files = make_cells(study)
    run = next(one for one in files if one.cell.arm == "full")
    _edit(run.training, lambda content: content.update(notes={TEST_PROMPTS: 6}))
    frame = collect(study, files)
    rows = frame[(frame["task"] == "training") & (frame["metric"] == TEST_PROMPTS)]
    assert set(rows["arm"]) == {"full"}
    assert set(rows["value"]) == {6.0}


def test_what_is_collected_in_part_is_checked_all_the_same(study, make_cells):
    files = make_cells(study)
    stranger = dataclasses.replace(files[1], cell=dataclasses.replace(files[1].cell, ratio="0.25"))
    with pytest.raises(GradsError, match=r"cell tiny/law/full/0\.25/0 is not in study 'toy'"):
        collect(study, [stranger], partial=True)
    with pytest.raises(GradsError, match="is given twice"):
        collect(study, [files[1], files[1]], partial=True)


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused_where_a_file_has_it(study, make_cells, written):
    files = make_cells(study)
    text = files[3].training.read_text()
    files[3].training.write_text(text.replace('"final_loss": 1.25', f'"final_loss": {written}'))
    with pytest.raises(GradsError, match=r"'final_loss' of 'training' is -?(nan|inf), not a number"):
        collect(study, files)


def test_a_tasks_hash_is_its_signature_and_its_items_keep_their_order(study, make_cells):
    files = make_cells(study)
    one = next(one for one in files if one.cell.arm == "full" and one.cell.domain == "law")
    _edit(one.general, lambda content: content["tasks"]["quiz"].update(hash="2b"))
    frame = collect(study, files)
    mine = frame[(frame["arm"] == "full") & (frame["domain"] == "law") & (frame["task"] == "quiz")].set_index("metric")
    assert set(mine["signature"]) == {"2b"}
    items = read_json(one.general)["tasks"]["quiz"]["items"]
    assert mine.loc["acc", "items"] == [[item["correct"]] for item in items]
    assert mine.loc["gold_logprob", "items"] == [[item["gold_logprob"]] for item in items]
    assert set(mine["n"]) == {10}


def test_answers_to_other_prompts_are_not_said_to_have_changed(study, make_cells):
    """Neither are those of a study without the untuned model, or of the untuned model itself."""
    files = make_cells(study)
    one = next(one for one in files if one.cell.arm == "full" and one.cell.domain == "law")
    _edit(one.general, lambda content: content["tasks"]["quiz"].update(hash="2b"))
    frame = collect(study, files)
    changed = frame[frame["metric"] == "right_to_wrong"]
    assert len(changed) == 2 * 4 - 1
    assert "untuned" not in set(changed["arm"])
    assert not ((changed["arm"] == "full") & (changed["domain"] == "law")).any()
    trained = [one for one in files if one.cell.trained]
    assert "right_to_wrong" not in set(collect(study, trained, partial=True)["metric"])


def test_answers_that_are_written_freely_have_none_of_what_choices_have(study, make_cells):
    files = make_cells(study)
    for path in {one.general for one in files}:

        def strip(content):
            del content["tasks"]["quiz"]["gold_logprob"]
            for item in content["tasks"]["quiz"]["items"]:
                for name in ("gold", "gold_logprob", "choice_logprobs"):
                    del item[name]

        _edit(path, strip)
    found = set(collect(study, files).query("task == 'quiz'")["metric"])
    assert found == {"acc", *TRANSITIONS}


@pytest.mark.parametrize("lost", ["bits_per_byte", "bits"])
def test_results_of_a_version_that_counted_no_bytes_are_named(study, make_cells, lost):
    files = make_cells(study)
    if lost == "bits":
        _edit(files[3].general, lambda content: content["drift"]["items"][0].pop("bits"))
    else:
        _edit(files[3].general, lambda content: content["drift"].pop("bits_per_byte"))
    with pytest.raises(GradsError, match=f"{files[3].general}.*{lost}"):
        collect(study, files)


def test_a_choice_without_a_number_is_refused(study, make_cells):
    files = make_cells(study)
    _edit(files[3].general, lambda content: content["tasks"]["quiz"]["items"][0].update(choice_logprobs=[7.5, -1.0]))
    files[3].general.write_text(files[3].general.read_text().replace("7.5,", "NaN,"))
    with pytest.raises(GradsError, match=r"'gold_logprob_among_choices' of 'quiz' is nan, not a number"):
        collect(study, files)


@pytest.mark.parametrize("gold", [4, -1])
def test_a_right_choice_that_is_not_there_is_refused(study, make_cells, gold):
    files = make_cells(study)
    _edit(files[3].general, lambda content: content["tasks"]["quiz"]["items"][0].update(gold=gold))
    with pytest.raises(GradsError, match=f"{files[3].general}.*gold"):
        collect(study, files)


def test_rounding_of_a_stored_value_is_no_difference(study, make_cells):
    files = make_cells(study)
    _edit(files[3].metrics, lambda content: content["meteor"].update(value=content["meteor"]["value"] + 1e-12))
    assert len(collect(study, files))


def test_a_metric_of_no_items_has_no_interval(study, make_cells):
    """Such as one that another tool computed, without keeping its items."""
    files = make_cells(study)
    _edit(files[3].metrics, lambda content: content["meteor"].update(items=[], n=6, value=0.5))
    frame = collect(study, files)
    cell = files[3].cell
    mine = frame[(frame["arm"] == cell.arm) & (frame["ratio"] == cell.ratio) & (frame["domain"] == cell.domain)]
    row = mine[mine["metric"] == "meteor"].iloc[0]
    assert (row["value"], row["n"], row["interval"], row["statistic"]) == (0.5, 6, "none", "")


def test_items_are_resampled_alike_in_all_cells_of_a_domain(study, make_cells):
    """Two cells with the same items have the same interval; on another domain it is drawn again."""
    files = make_cells(study)
    for one in files:
        _edit(one.metrics, lambda content: content["meteor"].update(value=0.35, items=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    frame = collect(study, files)
    meteor = frame[frame["metric"] == "meteor"]
    bounds = {domain: set(zip(rows["low"], rows["high"], strict=True)) for domain, rows in meteor.groupby("domain")}
    for domain, found in bounds.items():
        items = np.arange(0.1, 0.7, 0.1)[:, None]
        expected = measured([items.mean()], [group_items(items)], "mean", domain, "").estimate().bounds()
        ((low, high),) = found
        assert (low, high) == pytest.approx(expected)


def test_a_metric_with_a_formula_of_its_own_is_computed_from_its_counts(study, make_cells, monkeypatch):
    monkeypatch.setitem(STATISTICS, "meteor", lambda sums, counts: sums[:, 0] / sums[:, 1])
    files = make_cells(study)
    counts = [[1, 2], [3, 3], [0, 5], [2, 2], [1, 4], [2, 6]]
    for one in files:
        _edit(one.metrics, lambda content: content["meteor"].update(value=9 / 22, counts=counts))
    row = collect(study, files).query("metric == 'meteor'").iloc[0]
    assert (row["statistic"], row["interval"]) == ("meteor", "items only")
    assert [list(items) for items in row["items"]] == counts


def test_groups_of_the_items_are_in_the_table(study, make_cells):
    files = make_cells(study)
    for one in files:
        _edit(one.metrics, lambda content: content.update(groups=["x", "y", "x", "z", "z", "z"]))
        _edit(one.general, lambda content: [item.update(group="p") for item in content["tasks"]["quiz"]["items"][:4]])
    frame = collect(study, files).set_index("metric")
    for metric in ("bleu", "meteor"):
        assert {tuple(labels) for labels in frame.loc[metric, "item_groups"]} == {(0, 1, 0, 2, 2, 2)}
    assert {tuple(labels) for labels in frame.loc["acc", "item_groups"]} == {(0, 0, 0, 0, 1, 2, 3, 4, 5, 6)}
    assert {tuple(labels) for labels in frame.loc["kl", "item_groups"]} == {()}
    _edit(files[0].metrics, lambda content: content.update(groups=["x", "y"]))
    with pytest.raises(GradsError, match=r"metrics\.json has 2 groups for the 6 items of 'test'"):
        collect(study, files)


@pytest.mark.parametrize(("subtasks", "groups"), [(3, 30), (10, 10)])
def test_many_subtasks_are_groups_and_a_few_are_parts_of_the_benchmark(subtasks, groups):
    items = [{"task": f"subject {place % subtasks}"} for place in range(30)]
    assert len(set(item_groups(items))) == groups
    assert len(set(item_groups([item | {"group": "text"} for item in items]))) == (1 if subtasks < 10 else subtasks)


def test_tests_of_other_domains_are_a_part_of_their_own(study, make_cells):
    files = make_cells(study)
    by_cell = {str(one.cell): one for one in files}
    turned = {"law": "tax", "tax": "law"}
    crossed = []
    for one in files:
        other = turned[one.cell.domain]
        path = by_cell[str(dataclasses.replace(one.cell, domain=other))].metrics
        crossed.append(dataclasses.replace(one, cross={other: path}))
    frame = collect(study, crossed)
    cross = frame[frame["part"] == "cross"]
    assert len(cross) == len(frame[frame["part"] == "domain"]) > 0
    assert (cross["task"] == cross["domain"].map(turned)).all()
    own = frame[frame["part"] == "domain"].set_index(["domain", "arm", "ratio", "seed", "metric"])
    for row in cross.itertuples():
        there = own.loc[(row.task, row.arm, row.ratio, row.seed, row.metric)]
        # The same file, resampled by the same draws: the interval is the same too.
        assert (row.value, row.n) == (there["value"], there["n"])
        np.testing.assert_equal((row.low, row.high), (there["low"], there["high"]))


def test_what_sets_a_run_apart_is_in_the_table(study, make_cells):
    files = make_cells(study)
    _edit(files[3].training, lambda content: content.update(departures={"epochs": "1 for 2", "stop": "0.5 for 1"}))
    _edit(files[4].training, lambda content: content.update(scaled_from="full", notes={"scale": 0.25}))
    frame = collect(study, files)
    found = frame[(frame["task"] == "training") & frame["metric"].isin(["departures", "scaled"])]
    rows = found[["arm", "metric", "value", "signature"]].to_dict("records")
    assert [row["metric"] for row in rows] == ["departures", "scaled"]
    assert (rows[0]["value"], rows[0]["signature"]) == (2.0, "epochs 1 for 2, stop 0.5 for 1")
    assert (rows[1]["value"], rows[1]["signature"]) == (0.25, "full")
    assert [row["arm"] for row in rows] == [files[3].cell.arm, files[4].cell.arm]
