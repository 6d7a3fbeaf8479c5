import math

import numpy as np
import pytest

from grads.report.building.forgetting import forgetting_table
from grads.report.measurements import collect
from grads.report.rendering.layout import number, signed
from grads.report.statistics.estimates import Estimates, Quantity, Run, untuned_run
from grads.runtime.files import read_json, write_json
from grads.study.reading import parse_study


def test_differences_are_to_the_untuned_model(study, make_cells):
    files = make_cells(study)
    table = forgetting_table(study, Estimates(collect(study, files)))
    general = {str(one.cell): read_json(one.general) for one in files}
    tuned, untuned = general["tiny/tax/random/0.5/0"], general["tiny/tax/untuned/0/0"]
    block = next(block for block in table.blocks if block.title == "Tiny_1, tuned on Tax")
    row = next(row for row in block.rows if row[0].text == "random@0.5")
    before, after = (100 * one["tasks"]["quiz"]["value"] for one in (untuned, tuned))
    assert row[1].text == number(after, 1)
    assert row[1].aside.startswith(f"({signed(after - before, 1)} ±")
    gold = [
        sum(
            math.log(1 / sum(math.exp(one - item["gold_logprob"]) for one in item["choice_logprobs"])) for item in items
        )
        for items in (one["tasks"]["quiz"]["items"] for one in (untuned, tuned))
    ]
    assert row[2].text == signed((gold[1] - gold[0]) / 10, 3)
    assert row[3].text == signed(tuned["drift"]["nll"] - untuned["drift"]["nll"], 3)
    bits = [sum(item["bits"] for item in one["drift"]["items"]) / 460 for one in (untuned, tuned)]
    assert row[4].text == number(bits[1], 4)
    assert row[4].aside.startswith(f"({signed(bits[1] - bits[0], 4)} ±")
    assert row[5].text == number(tuned["drift"]["kl"], 3)
    # The only benchmark is all that the mean is over.
    assert (row[6].text, row[6].aside) == (row[1].text, row[1].aside)


def test_untuned_stands_once_and_has_no_difference(study, make_cells):
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    assert [block.title for block in table.blocks] == ["Tiny_1", "Tiny_1, tuned on Law", "Tiny_1, tuned on Tax"]
    (row,) = table.blocks[0].rows
    assert [row[0].text, row[1].aside, row[2].text, row[3].text, row[4].aside] == ["untuned", "", "", "", ""]
    assert [entry.text for entry in row[5:]] == ["0", row[1].text, "", "", "", "", ""]
    assert all(len(block.rows) == 4 for block in table.blocks[1:])


def test_chance_is_told(study, make_cells):
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    assert table.groups == [("", 1), ("Quiz (chance 25)", 2), ("Text", 3), ("Mean over tasks", 6)]
    tidy = table.tidy.set_index("metric")
    assert set(tidy.loc["acc", "chance"]) == {0.25}
    assert tidy.loc["kl", "chance"].isna().all()
    assert "Items: Quiz 10 (plain, acc), general text 8 passages." in table.notes


@pytest.mark.parametrize("lost", ["tasks", "untuned"])
def test_works_without_tasks_or_untuned(config, make_cells, lost):
    del (config["general"] if lost == "tasks" else config["arms"])[lost]
    study = parse_study(config)
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    rows = table.blocks[-1].rows
    assert {len(row) for row in rows} == {len(table.header)} == {4 if lost == "tasks" else 10}
    assert any("passages" in note for note in table.notes)
    # Without the untuned model values have intervals of their own in place of a difference.
    bits = rows[0][table.header.index("bits/byte ↓")].aside
    assert bits.startswith("(" if lost == "tasks" else "±")


def test_the_csv_has_every_number_of_every_run(study, make_cells):
    estimates = Estimates(collect(study, make_cells(study)))
    tidy = forgetting_table(study, estimates).tidy
    kinds = [("quiz", one) for one in ("acc", "gold_logprob_among_choices", "brier")]
    kinds += [*(("text", one) for one in ("nll", "bits_per_byte", "kl")), ("mean", "accuracy")]
    assert len(tidy) == 2 * 5 * len(kinds)
    untuned = untuned_run(study)
    for fact in tidy[tidy["task"] != "mean"].itertuples():
        run, quantity = Run(fact.arm, fact.ratio), Quantity.general(fact.task, fact.metric)
        one = estimates.of("tiny", fact.domain, run, quantity)
        change = estimates.difference("tiny", fact.domain, run, untuned, quantity)
        assert (fact.value, fact.low, fact.high, fact.items) == (one.value, one.low, one.high, one.n)
        assert (fact.change, fact.change_low, fact.change_high) == (change.value, change.low, change.high)
    assert list(zip(tidy["task"], tidy["metric"], strict=True)) == kinds * 10


def test_a_shortfall_marks_the_block_of_its_domain_only(study, make_cells):
    files = make_cells(study)
    short = next(one for one in files if str(one.cell) == "tiny/tax/random/0.5/0")
    write_json(short.selection, read_json(short.selection) | {"actual": 1})
    table = forgetting_table(study, Estimates(collect(study, files)))
    marked = [(block.title, row[0].text) for block in table.blocks for row in block.rows if "†" in row[0].text]
    assert marked == [("Tiny_1, tuned on Tax", "random@0.5†")]
    assert table.notes[-1].startswith("† ")


def test_two_models_have_their_blocks_one_after_the_other(config, make_cells):
    config["models"]["other"] = {"title": "Other", "source": {"kind": "tiny"}}
    config["evaluation"]["metrics"] = ["meteor"]
    config["arms"] = {name: config["arms"][name] for name in ("untuned", "full")}
    study = parse_study(config)
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    titles = [f"{model}{rest}" for model in ("Tiny_1", "Other") for rest in ("", ", tuned on Law", ", tuned on Tax")]
    assert [block.title for block in table.blocks] == titles
    assert set(table.tidy["model"]) == {"tiny", "other"}


@pytest.fixture
def two_tasks(config, make_cells):
    """A study of two benchmarks, and its table."""
    tasks = config["general"]["tasks"]
    tasks["test"] = tasks["quiz"] | {"title": "Test", "sample": 40, "chance": 0.5}
    tasks["quiz"]["sample"] = 60
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config)
    frame = collect(study, make_cells(study))
    return study, frame, lambda: forgetting_table(study, Estimates(frame))


def test_ratios_are_those_of_their_definition(two_tasks):
    _, frame, make = two_tasks
    tidy = make().tidy.set_index(["domain", "arm", "ratio", "task", "metric"])
    accuracy = frame[frame["metric"] == "acc"].set_index(["domain", "arm", "ratio", "task"])["value"]
    names, ratios = ["retention", "retention_above_chance", "relative_to_full"], []
    for task, chance in (("quiz", 0.25), ("test", 0.5)):
        runs = (("random", "0.5"), ("untuned", "0"), ("full", "1"))
        one, untuned, full = (accuracy["law", *run, task] for run in runs)
        row = tidy.loc[("law", "random", "0.5", task, "acc")]
        ratios.append((one / untuned, (one - chance) / (untuned - chance), one / full - 1))
        assert row[names].tolist() == pytest.approx(ratios[-1])
        assert row["retention_low"] < row["retention"] < row["retention_high"]
        assert row["against_full"] == pytest.approx(one - full)
    mean = tidy.loc[("law", "random", "0.5", "mean", "accuracy")]
    assert mean[names].tolist() == pytest.approx([sum(pair) / 2 for pair in zip(*ratios, strict=True)])
    assert mean["value"] == pytest.approx(sum(accuracy["law", "random", "0.5", task] for task in ("quiz", "test")) / 2)
    assert mean["relative_to_full_low"] < mean["relative_to_full"] < mean["relative_to_full_high"]


def test_drift_is_compared_as_accuracy_is(config, make_cells):
    """KL moves before accuracy does; an arm that moves less on every text is marked as better than full."""
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config | {"seeds": [0, 1, 2]})
    frame = collect(study, make_cells(study))
    where, luck = (frame["domain"] == "law") & (frame["metric"] == "kl"), np.random.default_rng(0)
    for index in frame[where & (frame["arm"] != "untuned")].index:
        items = luck.uniform(0.039, 0.041, size=20) / (4 if frame.at[index, "arm"] == "grads_density" else 1)
        frame.at[index, "items"] = [[item] for item in items]
        frame.loc[index, ["value", "n"]] = items.mean(), 20
    for index in frame[where & (frame["arm"] == "untuned")].index:
        frame.at[index, "items"] = [[0.0]] * 20
        frame.loc[index, ["value", "n"]] = 0.0, 20
    table = forgetting_table(study, Estimates(frame))
    block = next(block for block in table.blocks if block.title.endswith("Law"))
    row = next(row for row in block.rows if row[0].text.startswith("grads_density"))
    assert "f+" in row[table.header.index("KL ↓")].aside
    fact = table.tidy.query("domain == 'law' and arm == 'grads_density' and metric == 'kl'").iloc[0]
    expected = Estimates(frame).difference(
        "tiny", "law", Run("grads_density", "0.5"), Run("full", "1"), Quantity.general("text", "kl")
    )
    assert fact["against_full"] == pytest.approx(-0.03, abs=0.001)
    assert [fact["against_full_low"], fact["against_full_high"]] == [expected.low, expected.high]
    assert any("KL" in note and "80 % power" in note for note in table.notes)


def test_published_values_stand_next_to_ours(config, make_cells):
    of = {"run": "full", "domain": "tax"}
    config["published"] = [
        of | {"measure": "quiz", "value": 61.25, "source": "Table 3"},
        of | {"measure": "general", "value": 55.0, "source": "Table 4"},
        of | {"measure": "bleu", "value": 20.0, "source": "Table 2"},
    ]
    study = parse_study(config)
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    seen = {
        (block.title.rpartition(" ")[2], row[0].text, table.header[place], entry.aside.partition("[")[2])
        for block in table.blocks
        for row in block.rows
        for place, entry in enumerate(row)
        if "[" in entry.aside
    }
    # Both columns are called so, one below the task's title and one below that of the mean.
    assert seen == {("Tax", "full", "accuracy ↑", "61.2]"), ("Tax", "full", "accuracy ↑", "55.0]")}
    known = table.tidy[table.tidy["published"].notna()]
    assert list(zip(known["domain"], known["task"], known["published"], strict=True)) == [
        ("tax", "quiz", 61.25),
        ("tax", "mean", 55.0),
    ]
    assert "In square brackets the published value, for full: Table 3; full: Table 4." in table.notes


def test_where_untuned_is_not_above_chance_nothing_above_it_is_kept(two_tasks):
    _, frame, make = two_tasks
    where = (frame["arm"] == "untuned") & (frame["task"] == "test") & (frame["metric"] == "acc")
    frame.loc[where, ["value", "statistic"]] = 0.5, ""
    table = make()
    tidy = table.tidy.set_index(["task", "metric"])
    assert tidy.loc[("test", "acc"), "retention_above_chance"].isna().all()
    assert "Left out of the mean above chance, untuned not being above it: Tiny_1 on Test." in table.notes
    above = table.tidy.dropna(subset="retention_above_chance").pivot_table(
        index=["domain", "arm", "ratio"], columns="task", values="retention_above_chance"
    )
    assert len(above) == 8
    assert above["mean"].tolist() == above["quiz"].tolist()


def test_notes_name_what_each_mean_of_ratios_leaves_out(two_tasks):
    """Here full data on law has an accuracy of 0 in one task; then the untuned model, too."""
    _, frame, make = two_tasks
    accuracy = (frame["task"] == "test") & (frame["metric"] == "acc")
    frame.loc[accuracy & (frame["arm"] == "full") & (frame["domain"] == "law"), ["value", "statistic"]] = 0.0, ""
    said = "Left out of the mean against full, full being at 0: Tiny_1, full tuned on Law, on Test."
    assert [note for note in make().notes if note.startswith("Left out")] == [said]
    frame.loc[accuracy & (frame["arm"] == "untuned"), ["value", "statistic"]] = 0.0, ""
    assert [note for note in make().notes if note.startswith("Left out")] == [
        "Left out of the mean retention, untuned being at 0: Tiny_1 on Test.",
        "Left out of the mean above chance, untuned not being above it: Tiny_1 on Test.",
        said,
    ]


def test_means_of_ratios_over_unlike_tasks_are_not_ranked(config, make_cells):
    """Arms that start from the preliminary epoch have a baseline of their own, which may be 0 where full is not."""
    tasks = config["general"]["tasks"]
    tasks["test"] = tasks["quiz"] | {"title": "Test"}
    config["arms"] = {
        "full": {"method": "full"},
        "random": {"method": "random", "ratios": ["0.5", "0.05"]},
        "full-on": {"method": "full", "start": "warm"},
        "random-on": {"method": "random", "ratios": ["0.5"], "start": "warm"},
    }
    study = parse_study(config)
    frame = collect(study, make_cells(study))

    def ranks():
        block = forgetting_table(study, Estimates(frame)).blocks[0]
        return {row[-1].place for row in block.rows}

    assert ranks() == {0, 1, 2}
    zero = (frame["arm"] == "full-on") & (frame["domain"] == "law") & (frame["metric"] == "acc")
    frame.loc[zero & (frame["task"] == "test"), ["value", "statistic"]] = 0.0, ""
    assert ranks() == {0}


def test_best_and_second_are_marked_within_a_model_and_domain(two_tasks):
    *_, make = two_tasks
    table = make()
    assert {entry.place for row in table.blocks[0].rows for entry in row} == {0}
    for block in table.blocks[1:]:
        for column in range(1, len(table.header)):
            entries = [row[column] for row in block.rows]
            assert (1 in {entry.place for entry in entries}) == any("±" in entry.aside for entry in entries)
    drift = [row[table.header.index("KL ↓")] for row in table.blocks[1].rows]
    assert min(float(entry.text) for entry in drift) == next(float(one.text) for one in drift if one.place == 1)


def test_a_task_whose_answers_are_written_freely_has_no_probability_of_the_right_one(two_tasks):
    study, frame, _ = two_tasks
    chosen = frame["metric"].isin(["gold_logprob", "gold_logprob_among_choices", "brier"])
    without = frame[~((frame["task"] == "test") & chosen)]
    table = forgetting_table(study, Estimates(without))
    assert set(table.tidy.query("task == 'test'")["metric"]) == {"acc"}
    assert ("Test (chance 50)", 1) in table.groups
    assert {len(row) for block in table.blocks for row in block.rows} == {len(table.header)}


def test_the_mean_over_tasks_is_compared_as_a_task_is(two_tasks):
    """Its difference is the mean of the tasks' differences, to untuned and between arms, and has an interval."""
    *_, make = two_tasks
    tidy = make().tidy.set_index(["domain", "arm", "ratio", "task", "metric"]).sort_index()
    row = tidy.loc[("law", "random", "0.5")]
    for name in ("change", "against_full"):
        both = [row.loc[(task, "acc"), name] for task in ("quiz", "test")]
        mean = row.loc[("mean", "accuracy")]
        assert mean[name] == pytest.approx(sum(both) / 2)
        halves = [
            row.loc[(task, "acc"), f"{name}_high"] - row.loc[(task, "acc"), f"{name}_low"] for task in ("quiz", "test")
        ]
        # Two independent sets of items: their variances add up.
        half = mean[f"{name}_high"] - mean[f"{name}_low"]
        assert half == pytest.approx(math.hypot(*halves) / 2, rel=0.15)
        assert mean[f"{name}_low"] < mean[name] < mean[f"{name}_high"]
    assert 0 < mean["against_full_p"] <= 1
    assert mean["against_full_detectable"] > 0
    assert tidy.loc[("law", "full", "1", "mean", "accuracy")].filter(like="against_").isna().all()


def test_a_mean_that_is_better_on_every_item_is_marked(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    tasks = config["general"]["tasks"]
    tasks["test"] = tasks["quiz"] | {"title": "Test"}
    study = parse_study(config | {"seeds": [0, 1, 2]})
    frame = collect(study, make_cells(study))
    for index in frame[frame["metric"] == "acc"].index:
        better = frame.at[index, "arm"] == "grads_density"
        items = [[1.0]] * 80 + [[float(better)]] * 20
        frame.at[index, "items"] = items
        frame.loc[index, ["value", "n"]] = 0.8 + 0.2 * better, 100
    table = forgetting_table(study, Estimates(frame))
    block = next(block for block in table.blocks if block.title.endswith("Law"))
    row = next(row for row in block.rows if row[0].text.startswith("grads_density"))
    mean = row[[title for title, width in table.groups for _ in range(width)].index("Mean over tasks")]
    assert (mean.text, mean.place) == ("100.0", 1)
    assert mean.aside.startswith("(+20.0 ±")
    assert mean.aside.endswith("f+ r+")
    assert any("; mean accuracy " in note and "80 % power" in note for note in table.notes)
