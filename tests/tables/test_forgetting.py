import pytest

from grads.runtime.files import read_json, write_json
from grads.study.load import parse_study
from grads.tables.estimates import Estimates, Quantity, Run, untuned_run
from grads.tables.forgetting import forgetting_table
from grads.tables.layout import number, signed
from grads.tables.measurements import collect


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
    gold = tuned["tasks"]["quiz"]["gold_logprob"] - untuned["tasks"]["quiz"]["gold_logprob"]
    assert row[2].text == signed(gold, 3)
    assert row[3].text == signed(tuned["drift"]["nll"] - untuned["drift"]["nll"], 3)
    assert row[4].text == number(tuned["drift"]["kl"], 3)


def test_untuned_stands_once_and_has_no_difference(study, make_cells):
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    assert [block.title for block in table.blocks] == ["Tiny_1", "Tiny_1, tuned on Law", "Tiny_1, tuned on Tax"]
    (row,) = table.blocks[0].rows
    assert [row[0].text, row[1].aside, row[2].text, row[3].text, row[4].text] == ["untuned", "", "", "", "0"]
    assert all(len(block.rows) == 4 for block in table.blocks[1:])


def test_chance_is_told(study, make_cells):
    table = forgetting_table(study, Estimates(collect(study, make_cells(study))))
    assert table.groups == [("", 1), ("Quiz (chance 25)", 2), ("Text", 2)]
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
    assert {len(row) for row in rows} == {len(table.header)} == {3 if lost == "tasks" else 5}
    assert any("passages" in note for note in table.notes)


def test_the_csv_has_every_number_of_every_run(study, make_cells):
    estimates = Estimates(collect(study, make_cells(study)))
    tidy = forgetting_table(study, estimates).tidy
    kinds = [("quiz", "acc"), ("quiz", "gold_logprob"), ("text", "nll"), ("text", "kl")]
    assert len(tidy) == 2 * 5 * len(kinds)
    untuned = untuned_run(study)
    for fact in tidy.itertuples():
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
