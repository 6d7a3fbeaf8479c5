import math

import numpy as np
import pytest
from scipy.stats import binomtest

from grads.report.building.forgetting import forgetting_table
from grads.report.building.transitions import transitions_table
from grads.report.measurements import collect
from grads.report.registry import table_names
from grads.report.rendering.layout import ABSENT, number
from grads.report.statistics.estimates import Estimates, Quantity, Run
from grads.runtime.files import read_json, write_json
from grads.study.reading import parse_study


def answers(files, cell):
    path = next(one.general for one in files if str(one.cell) == cell)
    return [item["correct"] for item in read_json(path)["tasks"]["quiz"]["items"]]


def rewrite(files, cell, correct):
    """Write other answers to the ten items of a cell, or of several by the beginning of their names."""
    for one in files:
        if str(one.cell).startswith(cell):
            content = read_json(one.general)
            quiz = content["tasks"]["quiz"]
            quiz["items"] = [item | {"correct": right} for item, right in zip(quiz["items"], correct, strict=True)]
            quiz["value"] = sum(correct) / len(correct)
            write_json(one.general, content)


def row_of(table, domain, arm):
    block = next(block for block in table.blocks if block.title == f"Tiny_1, tuned on {domain}")
    return next(row for row in block.rows if row[0].text == arm)


def test_answers_that_changed_are_counted_item_by_item(study, make_cells):
    files = make_cells(study)
    table = transitions_table(study, Estimates(collect(study, files)))
    pairs = list(zip(*(answers(files, f"tiny/tax/{arm}/0") for arm in ("untuned/0", "random/0.5")), strict=True))
    lost, gained, wrong = (pairs.count(pair) / 10 for pair in ((1, 0), (0, 1), (0, 0)))
    row = row_of(table, "Tax", "random@0.5")
    assert row[1].text == number(100 * (lost - wrong / 3), 1)
    assert row[2].text == number(100 * (gained - wrong / 3), 1)
    facts = table.tidy.set_index(["domain", "arm", "ratio", "task", "metric"])["value"].sort_index()
    fact = facts["tax", "random", "0.5"]
    assert fact["quiz"].to_dict() == pytest.approx(
        {
            "right_to_wrong": lost,
            "wrong_to_right": gained,
            "right_to_wrong_less_chance": lost - wrong / 3,
            "wrong_to_right_less_chance": gained - wrong / 3,
        }
    )
    # The only benchmark is all that the mean is over, here and in the table of what was forgotten.
    assert fact["mean"].to_dict() == fact["quiz"].to_dict()
    assert row[4:6] == row[1:3]
    forgotten = forgetting_table(study, Estimates(collect(study, files)))
    start = forgotten.header.index("right to wrong ↓")
    assert [entry.text for entry in row_of(forgotten, "Tax", "random@0.5")[start : start + 2]] == [
        entry.text for entry in row[1:3]
    ]


def test_the_brier_score_is_that_of_the_choices(study, make_cells):
    files = make_cells(study)
    table = transitions_table(study, Estimates(collect(study, files)))
    scores = []
    for name in ("full/1", "untuned/0"):
        path = next(one.general for one in files if str(one.cell) == f"tiny/law/{name}/0")
        items = read_json(path)["tasks"]["quiz"]["items"]
        weights = [[math.exp(one) for one in item["choice_logprobs"]] for item in items]
        shares = [[one / sum(row) for one in row] for row in weights]
        scores.append(sum((row[0] - 1) ** 2 + sum(one**2 for one in row[1:]) for row in shares) / 10)
    change = scores[0] - scores[1]
    assert row_of(table, "Law", "full")[3].text == ("+" if change > 0 else "") + number(change, 3)
    assert table.groups == [("", 1), ("Quiz (chance 25)", 3), ("Mean over tasks", 2)]


def test_at_one_seed_shares_have_wilsons_interval(study, make_cells):
    files = make_cells(study)
    rewrite(files, "tiny/law/untuned", [1, 1, 1, 1, 1, 1, 0, 0, 0, 0])
    rewrite(files, "tiny/law/full", [1, 1, 1, 1, 0, 0, 0, 0, 0, 1])
    table = transitions_table(study, Estimates(collect(study, files)))
    row = table.tidy.query("domain == 'law' and arm == 'full' and task == 'quiz' and metric == 'right_to_wrong'").iloc[
        0
    ]
    assert row["value"] == 0.2
    assert [row["low"], row["high"]] == pytest.approx(list(binomtest(2, 10).proportion_ci(method="wilson")))
    assert row["interval"] == "items only"


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_no_interval_has_zero_width_where_nothing_changed(config, make_cells, seeds):
    """All right twice; all wrong twice; and as before on half of each."""
    study = parse_study(config | {"seeds": seeds})
    files = make_cells(study)
    for same in ([1] * 10, [0] * 10, [1, 0] * 5):
        rewrite(files, "tiny/law", same)
        tidy = transitions_table(study, Estimates(collect(study, files))).tidy
        law = tidy[tidy["domain"] == "law"]
        assert (law["high"] - law["low"] > 0.01).all()
        assert ((law["low"] <= law["value"]) & (law["value"] <= law["high"])).all()
        other = law[law["arm"] == "random"]
        assert (other["against_full"] == 0).all()
        assert ((other["against_full_low"] < 0) & (other["against_full_high"] > 0)).all()


def test_with_seeds_intervals_cover_them(config, make_cells):
    """Seeds that lose other items say less than seeds that lose the same ones."""
    study = parse_study(config | {"seeds": [0, 1, 2]})
    files = make_cells(study)
    rewrite(files, "tiny/law/untuned", [1] * 10)
    widths = []
    for lost in ([3, 3, 3], [0, 3, 6]):
        for seed, count in enumerate(lost):
            rewrite(files, f"tiny/law/full/1/{seed}", [0] * count + [1] * (10 - count))
        tidy = transitions_table(study, Estimates(collect(study, files))).tidy
        row = tidy.query("domain == 'law' and arm == 'full' and metric == 'right_to_wrong_less_chance'").iloc[0]
        assert row["value"] == pytest.approx(0.3)
        assert row["interval"] == "items and seeds"
        widths.append(row["high"] - row["low"])
    assert widths[0] < widths[1]


def test_an_arm_that_loses_what_full_does_not_is_marked(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    config["general"]["tasks"]["quiz"]["sample"] = 60
    study = parse_study(config | {"seeds": [0, 1, 2]})
    frame = collect(study, make_cells(study))
    for index in frame[frame["metric"] == "right_to_wrong_less_chance"].index:
        lost = 30 if frame.at[index, "arm"] == "grads_density" else 3
        frame.at[index, "items"] = [[1.0]] * lost + [[0.0]] * (60 - lost)
        frame.at[index, "value"] = lost / 60
    table = transitions_table(study, Estimates(frame))
    row = row_of(table, "Law", "grads_density@0.5")
    assert (row[1].text, row[1].aside.split()[1:]) == ("50.0", ["f\u2212", "r\u2212"])
    fact = table.tidy.query(
        "domain == 'law' and arm == 'grads_density' and metric == 'right_to_wrong_less_chance' and task == 'quiz'"
    ).iloc[0]
    expected = Estimates(frame).difference(
        "tiny", "law", Run("grads_density", "0.5"), Run("full", "1"),
        Quantity.general("quiz", "right_to_wrong_less_chance"),
    )  # fmt: skip
    assert [fact["against_full"], fact["against_full_low"]] == pytest.approx([27 / 60, expected.low])
    assert any("right to wrong" in note and "80 % power" in note for note in table.notes)


def test_means_are_over_the_tasks_whose_items_are_right_or_wrong(config, make_cells):
    """A benchmark whose items may be right in part has no transitions, and one without choices has no Brier score."""
    tasks = config["general"]["tasks"]
    tasks |= {name: tasks["quiz"] | {"title": name.title(), "chance": 0.0} for name in ("words", "parts")}
    study = parse_study(config)
    files = make_cells(study)
    for path in {one.general for one in files}:
        content = read_json(path)
        for item in content["tasks"]["parts"]["items"]:
            item["correct"] /= 2
        content["tasks"]["parts"]["value"] /= 2
        for name in ("words", "parts"):
            del content["tasks"][name]["gold_logprob"]
            for item in content["tasks"][name]["items"]:
                for key in ("gold", "gold_logprob", "choice_logprobs"):
                    del item[key]
        write_json(path, content)
    frame = collect(study, files)
    table = transitions_table(study, Estimates(frame))
    assert table.groups == [("", 1), ("Quiz (chance 25)", 3), ("Words (chance 0)", 2), ("Mean over tasks", 2)]
    assert {len(row) for block in table.blocks for row in block.rows} == {len(table.header)} == {8}
    assert set(table.tidy["task"]) == {"quiz", "words", "mean"}
    facts = table.tidy.set_index(["domain", "arm", "ratio", "metric", "task"])["value"].sort_index()
    tidy = facts["tax", "full", "1"]
    for metric in ("right_to_wrong", "wrong_to_right_less_chance"):
        assert tidy[metric, "mean"] == pytest.approx((tidy[metric, "quiz"] + tidy[metric, "words"]) / 2)
    # Chance 0 takes nothing off.
    assert tidy["right_to_wrong", "words"] == tidy["right_to_wrong_less_chance", "words"]
    forgotten = forgetting_table(study, Estimates(frame))
    assert [width for _, width in forgotten.groups] == [1, 2, 1, 1, 3, 6]
    assert {len(row) for block in forgotten.blocks for row in block.rows} == {len(forgotten.header)}


def test_where_nothing_is_right_or_wrong_the_brier_score_is_left(study, make_cells):
    files = make_cells(study)
    for path in {one.general for one in files}:
        content = read_json(path)
        content["tasks"]["quiz"]["items"][0]["correct"] = 0.5
        items = content["tasks"]["quiz"]["items"]
        content["tasks"]["quiz"]["value"] = sum(item["correct"] for item in items) / len(items)
        write_json(path, content)
    table = transitions_table(study, Estimates(collect(study, files)))
    assert table.header == ["arm", "Δ Brier ↓"]
    assert not any("guessing" in note for note in table.notes)
    assert len(table.tidy) == 0


@pytest.mark.parametrize("lost", ["tasks", "untuned", "trained"])
def test_studies_in_which_nothing_can_change_have_no_such_table(config, lost):
    if lost == "tasks":
        del config["general"]["tasks"]
    elif lost == "untuned":
        del config["arms"]["untuned"]
    else:
        config["arms"] = {"untuned": config["arms"]["untuned"]}
    assert "transitions" not in table_names(parse_study(config))


def test_what_is_missing_in_part_is_a_dash(study, make_cells):
    files = [one for one in make_cells(study) if str(one.cell) not in ("tiny/law/full/1/0", "tiny/tax/untuned/0/0")]
    estimates = Estimates(collect(study, files, partial=True), partial=True)
    table = transitions_table(study, estimates)
    assert {entry.text for entry in row_of(table, "Law", "full")[1:]} == {ABSENT}
    assert {entry.text for entry in row_of(table, "Tax", "full")[1:]} == {ABSENT}
    assert ABSENT not in {entry.text for entry in row_of(table, "Law", "random@0.5")[1:]}


def test_items_that_belong_together_are_drawn_together(study, make_cells):
    files = make_cells(study)
    wide = []
    for grouped in (False, True):
        for path in {one.general for one in files} if grouped else ():
            content = read_json(path)
            for place, item in enumerate(content["tasks"]["quiz"]["items"]):
                item["group"] = f"passage {place // 5}"
            write_json(path, content)
        # Whole groups are lost: the first five items.
        rewrite(files, "tiny/law/untuned", [1] * 10)
        rewrite(files, "tiny/law/full", [0] * 5 + [1] * 5)
        table = transitions_table(study, Estimates(collect(study, files)))
        row = table.tidy.query("domain == 'law' and arm == 'full' and metric == 'right_to_wrong_less_chance'").iloc[0]
        assert row["groups"] == (2 if grouped else 10)
        wide.append(row["high"] - row["low"])
    assert wide[1] > 2 * wide[0]
    assert "items and their groups: Quiz 10 in 2." in " ".join(table.notes)


def test_every_number_is_finite(study, make_cells):
    tidy = transitions_table(study, Estimates(collect(study, make_cells(study)))).tidy
    assert np.isfinite(tidy[["value", "low", "high"]].to_numpy(dtype=float)).all()
    assert len(tidy) == 2 * 4 * 2 * 4
