"""The table of tests across domains."""

import dataclasses

import pytest

from grads.report.building.cross import cross_table
from grads.report.measurements import collect
from grads.report.registry import table_names
from grads.report.rendering.layout import number
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.fixture
def crossed(config, make_cells):
    """A study of which each model answers the other domain's test set as well as the model tuned there does."""
    config["evaluation"] |= {"metrics": ["meteor", "response_nll"], "cross_domain": True}
    study, turned = parse_study(config), {"law": "tax", "tax": "law"}
    files = {str(one.cell): one for one in make_cells(study)}
    crossed = []
    for one in files.values():
        other = turned[one.cell.domain]
        there = files[str(dataclasses.replace(one.cell, domain=other))].metrics
        crossed.append(dataclasses.replace(one, cross={other: there}))
    return study, collect(study, crossed)


def test_blocks_are_tuned_on_and_columns_tested_on(crossed):
    study, frame = crossed
    table = cross_table(study, Estimates(frame))
    titles = ["Tiny_1", "Tiny_1, tuned on Law", "Tiny_1, tuned on Tax"]
    assert [block.title for block in table.blocks] == titles
    assert table.groups == [("", 1), ("tested on Law", 2), ("tested on Tax", 2)]
    row = next(row for row in table.blocks[1].rows if row[0].text == "random@0.5")
    mine = frame[(frame["domain"] == "law") & (frame["arm"] == "random") & (frame["ratio"] == "0.5")]
    mine = mine[mine["metric"] == "meteor"].set_index("part")["value"]
    own, other = mine["domain"], mine["cross"]
    assert [row[1].text, row[3].text] == [number(own, 3), number(other, 3)]
    assert all(any(row[column].place == 1 for row in table.blocks[1].rows) for column in range(1, 5))


def test_verdicts_are_on_a_domains_own_test_and_have_no_column(judge, config):
    """Of a study that asks for both; no other answers are judged."""
    config["evaluation"] |= {"cross_domain": True}
    study, files = judge()
    there = {str(one.cell): one.metrics for one in files}
    turned = {"law": "tax", "tax": "law"}
    files = [
        dataclasses.replace(one, cross={other: there[str(dataclasses.replace(one.cell, domain=other))]})
        for one in files
        for other in [turned[one.cell.domain]]
    ]
    frame = collect(study, files)
    assert set(frame.loc[frame["metric"] == "verdict", "part"]) == {"domain"}
    table = cross_table(study, Estimates(frame))
    assert table.header == ["arm", "BLEU ↑", "BLEU ↑"]
    assert set(table.tidy["metric"]) == {"bleu"}


def test_changes_are_to_the_untuned_model_on_the_same_test_set(crossed):
    study, frame = crossed
    tidy = cross_table(study, Estimates(frame)).tidy
    assert len(tidy) == 2 * 5 * 2 * 2
    one = tidy.set_index(["domain", "arm", "ratio", "tested_on", "metric"]).loc[("law", "full", "1", "tax", "meteor")]
    untuned = frame[(frame["domain"] == "tax") & (frame["part"] == "domain") & (frame["arm"] == "untuned")]
    before = untuned[untuned["metric"] == "meteor"]["value"].item()
    assert one["change"] == pytest.approx(one["value"] - before)
    assert one["change_low"] < one["change"] < one["change_high"]
    block = cross_table(study, Estimates(frame)).blocks[0]
    assert block.rows[0][3].text == number(before, 3)


def test_only_studies_that_ask_for_it_have_the_table(crossed, config):
    study, _ = crossed
    assert "cross" in table_names(study)
    assert "cross" not in table_names(parse_study(config | {"evaluation": {"metrics": ["bleu"]}}))
    del config["domains"]["tax"]
    assert "cross" not in table_names(parse_study(config))


def test_the_domain_that_lacks_the_untuned_model_is_named(crossed):
    study, frame = crossed
    holed = frame[~((frame["domain"] == "tax") & (frame["arm"] == "untuned"))]
    notes = " ".join(cross_table(study, Estimates(holed, partial=True)).notes)
    assert "there: Tax lacks untuned." in notes
    assert "lacks" not in " ".join(cross_table(study, Estimates(frame)).notes)
