"""The main table: its numbers are those of other tables, and what it leaves out is said."""

import re

import pytest

from grads.report.building.domain import domain_table
from grads.report.building.forgetting import forgetting_table
from grads.report.building.main import main_table
from grads.report.measurements import collect
from grads.report.rendering.layout import number, signed
from grads.report.rendering.render import latex, markdown, page
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.fixture
def config(config):
    """Two metrics that are quick to resample; the first is what the table shows."""
    config["evaluation"]["metrics"] = ["meteor", "response_nll"]
    return config


@pytest.fixture
def seeded(config, make_cells):
    study = parse_study(config | {"seeds": [0, 1, 2]})
    return study, collect(study, make_cells(study))


def rows(table):
    (block,) = table.blocks
    return {row[0].text: row for row in block.rows}


def test_columns_are_domains_their_mean_and_what_was_forgotten(seeded):
    study, frame = seeded
    table = main_table(study, Estimates(frame))
    assert table.header == ["arm", "Law", "Tax", "mean", "accuracy ↑", "KL ↓"]
    assert table.groups == [("", 1), ("METEOR ↑", 3), ("General, mean over domains", 2)]
    assert list(rows(table)) == ["untuned", "full", "random@0.05", "random@0.5", "grads_density@0.5"]
    assert any(note.startswith("METEOR is the first of the study's metrics") for note in table.notes)
    for text in (markdown(table), latex(table), page(table)):
        assert not re.search(r"\bnan\b", text, re.I)


def test_what_was_learnt_is_as_in_the_table_of_domains(seeded):
    study, frame = seeded
    estimates = Estimates(frame)
    mine, other = rows(main_table(study, estimates)), rows(domain_table(study, estimates))
    for run, row in mine.items():
        assert row[1:4] == [other[run][1], other[run][4], other[run][7]]


def test_what_was_forgotten_is_the_mean_of_the_table_of_forgetting(seeded):
    study, frame = seeded
    estimates = Estimates(frame)
    tidy = forgetting_table(study, estimates).tidy.set_index(["domain", "arm", "ratio", "task", "metric"])
    row = rows(main_table(study, estimates))["random@0.5"]
    parts = [tidy.loc[(domain, "random", "0.5", "quiz", "acc")] for domain in study.domains]
    value, change = (100 * sum(part[name] for part in parts) / 2 for name in ("value", "change"))
    assert row[4].text == number(value, 1)
    assert row[4].aside.startswith(f"({signed(change, 1)} ±")
    drift = [tidy.loc[(domain, "random", "0.5", "text", "kl"), "value"] for domain in study.domains]
    assert row[5].text == number(sum(drift) / 2, 3)
    untuned = rows(main_table(study, estimates))["untuned"]
    assert (untuned[5].text, untuned[5].aside, untuned[5].place) == ("0", "", 0)
    assert untuned[4].aside.startswith("±")
    assert untuned[4].place == 0


def test_with_one_domain_the_accuracies_are_those_of_forgetting(config, make_cells):
    del config["domains"]["tax"]
    study = parse_study(config | {"seeds": [0, 1, 2]})
    estimates = Estimates(collect(study, make_cells(study)))
    table = main_table(study, estimates)
    assert table.header == ["arm", "Law", "accuracy ↑", "KL ↓"]
    assert table.groups == [("", 1), ("METEOR ↑", 1), ("General", 2)]
    forgetting = forgetting_table(study, estimates)
    kl = forgetting.header.index("KL ↓")
    for row in forgetting.blocks[1].rows:
        mine = rows(table)[row[0].text]
        assert mine[2] == row[1]
        assert (mine[3].text, mine[3].place) == (row[kl].text, row[kl].place)
    facts = table.tidy.set_index(["arm", "ratio", "measure"])
    other = forgetting_table(study, estimates).tidy.set_index(["arm", "ratio", "task", "metric"])
    for end in ("", "_low", "_high", "_p"):
        name = f"against_random{end}"
        found = facts.loc[("grads_density", "0.5", "kl"), name]
        assert found == pytest.approx(other.loc[("grads_density", "0.5", "text", "kl"), name])


def test_the_first_metric_of_the_config_is_shown(config, make_cells):
    config["evaluation"]["metrics"] = ["response_nll", "meteor"]
    study = parse_study(config)
    table = main_table(study, Estimates(collect(study, make_cells(study))))
    assert table.groups[1] == ("NLL ↓", 3)
    best = min(table.tidy.query("measure == 'response_nll' and domain == 'mean' and arm != 'untuned'")["value"])
    marked = [row[3].text for row in table.blocks[0].rows if row[3].place == 1]
    assert marked == [f"{best:.3f}"]


@pytest.mark.parametrize("lost", ["tasks", "untuned"])
def test_works_without_tasks_or_untuned(config, make_cells, lost):
    del (config["general"] if lost == "tasks" else config["arms"])[lost]
    study = parse_study(config)
    table = main_table(study, Estimates(collect(study, make_cells(study))))
    assert ("accuracy ↑" in table.header) == (lost == "untuned")
    assert ("change" in table.tidy) == (lost == "tasks")
    assert all(len(row) == len(table.header) for row in table.blocks[0].rows)
    if lost == "untuned":
        assert rows(table)["full"][4].aside.startswith("±")


def test_the_csv_has_a_row_for_each_run_and_column(seeded):
    study, frame = seeded
    tidy = main_table(study, Estimates(frame)).tidy
    assert len(tidy) == 5 * 5
    assert set(zip(tidy["domain"], tidy["measure"], strict=True)) == {
        ("law", "meteor"), ("tax", "meteor"), ("mean", "meteor"), ("mean", "general"), ("mean", "kl"),
    }  # fmt: skip
    compared = tidy[tidy["arm"] == "grads_density"]
    assert compared["against_random_p"].notna().all()


def test_only_what_has_an_interval_is_ranked(seeded):
    study, frame = seeded
    frame.loc[(frame["metric"] == "meteor") & (frame["arm"] == "random") & (frame["domain"] == "tax"), "statistic"] = ""
    table = main_table(study, Estimates(frame))
    for run in ("random@0.05", "random@0.5"):
        law, tax, mean = rows(table)[run][1:4]
        assert (tax.place, tax.aside, mean.place, mean.aside) == (0, "", 0, "")
        assert law.aside.startswith("±")


def test_a_partial_table_says_which_domain_lacks_what(seeded):
    study, frame = seeded
    gone = (frame["domain"] == "tax") & frame["arm"].isin(["full", "untuned"])
    table = main_table(study, Estimates(frame[~gone], partial=True))
    assert "there: Tax lacks untuned, full." in " ".join(table.notes)
    full = rows(table)["full"]
    assert [entry.text for entry in full[2:]] == ["\u2013"] * 4
    assert full[1].text != "\u2013"
    assert rows(table)["random@0.5"][4].aside == ""
